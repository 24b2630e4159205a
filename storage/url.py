"""Parses and checks DATABASE_URL before anything connects.

The URL is read as libpq reads it, with SQLAlchemy's additions: a driver after the scheme, `+` for a space in a
parameter, and a repeated `host`. Error messages leave out every part of the URL that could hold a password. A password
that was not percent-encoded can end up in any of the parts that follow it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote, unquote_plus

import psycopg2
from psycopg2.extensions import parse_dsn
from sqlalchemy import URL

DRIVER = "postgresql+psycopg2"
_EXPECTED_FORM = "it should look like postgresql://user:password@host:5432/name"
_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9.-]*)(?:\+[A-Za-z0-9_]*)?://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<hosts>[^/?]*)(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_HOST = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>.*))?", re.DOTALL)
# The folder of a Unix socket, an abstract socket, a DNS name, or an IP address.
_VALID_HOST = re.compile(r"[/@][^\x00-\x1f,]*|[\w.:%-]*")
_HOST_WITH_PORT = re.compile(r"[A-Za-z0-9.-]+:[0-9]*")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}")
# Numeric parameters that libpq checks only once it has connected.
_NUMERIC_OPTIONS = (
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
)
# The options of libpq that are suggested for a misspelled one.
_COMMON_OPTIONS = (
    "application_name",
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "host",
    "keepalives",
    "options",
    "passfile",
    "password",
    "port",
    "service",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "user",
)
_ADVICE = {
    **dict.fromkeys(("ssl", "sslaccept", "tls", "use_ssl", "usessl"), "did you mean sslmode?"),
    **dict.fromkeys(
        ("schema", "currentschema", "search_path", "searchpath"), "write options=-csearch_path%3D and the schema"
    ),
    **dict.fromkeys(
        ("pgbouncer", "connection_limit", "pool_size", "max_overflow", "pool_timeout", "statement_cache_size"),
        "leave it out",
    ),
}
# A host where no server can be, for having libpq check the parameters.
_NO_SERVER = "/dev/null/none"


class BadDatabaseUrl(ValueError):
    """DATABASE_URL is not a valid PostgreSQL URL. The text holds no part of a secret."""


def normalise_url(url: str) -> URL:
    """Converts a PostgreSQL URL, with or without a driver suffix, to the SQLAlchemy URL that this project uses.

    Raises BadDatabaseUrl.
    """
    found = _PARTS.fullmatch(url)
    if found is None:
        raise BadDatabaseUrl(f"is not a URL; {_EXPECTED_FORM}")
    scheme = found["scheme"].lower()
    if scheme not in ("postgresql", "postgres"):
        raise BadDatabaseUrl(f"is for {scheme}, not PostgreSQL; {_EXPECTED_FORM}")
    _check_at_signs(found)
    query = _parse_query(found["query"] or "")
    _check_names(query)
    hosts, ports = _parse_hosts(found["hosts"], query)
    query.pop("client_encoding", None)  # the program always uses UTF-8, whatever the encoding of the database
    parts: dict[str, Any] = {
        "username": query.pop("user", None) or _decode(found["user"]),
        "password": query.pop("password", None) or _decode(found["password"]),
        "database": query.pop("dbname", None) or _decode(found["database"]),
    }
    if len(hosts) == 1 and not hosts[0].startswith(("/", "@")):
        parts |= {"host": hosts[0] or None, "port": int(ports[0]) if ports[0] else None}
    elif hosts:
        query["host"] = ",".join(hosts)
        if any(ports):
            query["port"] = ",".join(ports)
    _check_values({key: value for key, value in query.items() if key not in ("host", "port")})
    return URL.create(DRIVER, **{key: value or None for key, value in parts.items()}, query=query)


def describe_server(url: URL) -> str:
    """Returns the hosts and ports of a URL, for a message: `host:port, host:port`, or `the local socket`."""
    hosts = str(url.query.get("host") or url.host or "the local socket").split(",")
    ports = str(url.query.get("port") or url.port or "").split(",")
    ports += ports[:1] * (len(hosts) - len(ports))
    return ", ".join(f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))


def _check_at_signs(found: re.Match[str]) -> None:
    if "@" in found["hosts"]:
        raise BadDatabaseUrl("the host holds an @; write an @ of the password as %40")
    if "@" in (found["database"] or "") or ("@" in (found["query"] or "") and found["user"] is not None):
        raise BadDatabaseUrl(
            "there is an @ behind the host; in the user and the password write @ as %40, / as %2F and ? as %3F"
        )


def _decode(text: str | None, unquoted: Any = unquote) -> str | None:
    if text is None:
        return None
    try:
        decoded = str(unquoted(text, errors="strict"))
        decoded.encode()
    except UnicodeError:
        raise BadDatabaseUrl("holds what is not UTF-8; write other bytes than ASCII's as %XX of UTF-8") from None
    if "\0" in decoded:
        raise BadDatabaseUrl("holds a NUL (%00)")
    return decoded


def _parse_query(text: str) -> dict[str, str]:
    """Returns the parameters. The last value of a name wins; those of `host` and `port` are joined with commas."""
    query: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            raise BadDatabaseUrl("a parameter behind the ? has no value; it should look like sslmode=require")
        key, value = _decode(name, unquote_plus) or "", _decode(value, unquote_plus) or ""
        query[key] = f"{query[key]},{value}" if key in ("host", "port") and key in query else value
    return query


def _parse_hosts(text: str, query: dict[str, str]) -> tuple[list[str], list[str]]:
    """Returns the hosts and the port of each, "" if not given. As in libpq, the parameters take precedence."""
    hosts, ports = [], []
    for one in text.split(","):
        found = _HOST.fullmatch(one)
        if found is None:
            raise BadDatabaseUrl(f"the host cannot be read; {_EXPECTED_FORM}")
        hosts.append(_decode(found["v6"] if found["v6"] is not None else found["name"]) or "")
        ports.append(_decode(found["port"]) or "")
    if "host" in query:
        named = query.pop("host").split(",")
        with_ports = "port" not in query and all(map(_HOST_WITH_PORT.fullmatch, named))
        split = [one.rpartition(":") if with_ports else (one, "", "") for one in named]
        hosts, ports = [host for host, _, _ in split], [port for *_, port in split]
    if "port" in query:
        ports = query.pop("port").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise BadDatabaseUrl("there should be one port for all hosts, or one for each")
    if not all(map(_VALID_HOST.fullmatch, hosts)):
        raise BadDatabaseUrl(
            "the host holds what no host has; in the user and the password write @ as %40, / as %2F and ? as %3F"
        )
    for port in filter(None, ports):
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
            raise BadDatabaseUrl(f"should have ports from 1 to 65535; {_EXPECTED_FORM}")
    return hosts, ports


def _check_names(query: Collection[str]) -> None:
    for name in query:
        # If an & in a password is not percent-encoded, the rest of the password looks like parameters.
        if not re.fullmatch(r"[A-Za-z_]{1,40}", name) or (
            not _is_libpq_option(name) and any("pass" in key for key in query)
        ):
            raise BadDatabaseUrl("a parameter behind the ? is no option of libpq; write an & in a value as %26")
        if not _is_libpq_option(name):
            near = get_close_matches(name.lower(), _COMMON_OPTIONS, 1)
            instead = _ADVICE.get(name.lower()) or (f"did you mean {near[0]}?" if near else "leave it out")
            raise BadDatabaseUrl(f'"{name}" is no option of libpq; {instead}')


def _is_libpq_option(name: str) -> bool:
    try:
        parse_dsn(f"{name}=''")
    except psycopg2.ProgrammingError:
        return False
    return True


def _check_values(query: Mapping[str, str]) -> None:
    """Has libpq check the parameters. Raises BadDatabaseUrl."""
    if query.get("replication", "").lower() not in ("", "0", "false", "off", "no"):
        raise BadDatabaseUrl('"replication" is for replicas of the server; leave it out')
    for name in _NUMERIC_OPTIONS:
        if query.get(name) and not _WHOLE_NUMBER.fullmatch(query[name]):
            raise BadDatabaseUrl(f"{name} should be a whole number")
    try:
        # Without `user`, libpq looks up the name of this process's user. In a container there may be none.
        nowhere: dict[str, Any] = {"user": "anybody", **query, "host": _NO_SERVER, "hostaddr": "", "port": "5432"}
        psycopg2.connect(**nowhere).close()
    except psycopg2.OperationalError as error:
        reason = str(error)
        if _NO_SERVER in reason.partition("\n")[0]:
            return  # all parameters were right
        # libpq repeats the value in quotes. If a ? in the password is not escaped, the value is part of it.
        for value in query.values():
            reason = reason.replace(f'"{value}"', '""')
        reason = re.sub(r':? "[^"]*"', "", reason).strip()
        if reason:
            raise BadDatabaseUrl(reason.splitlines()[0]) from None
