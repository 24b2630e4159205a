"""What docs/database.md says about rights, TLS and hosts, tried on a real server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from sandbox.tls import Certificate
from storage import preflight
from storage.embedded import scratch_postgres
from storage.engine import Store, create_pool, is_read_only, translate_errors
from storage.errors import DatabaseAway
from storage.migrate import HEAD, migrate
from storage.session_settings import Pooling
from storage.url import normalise_url
from tests.house import build
from tests.storage import pgbouncer

PAGE = Path(__file__).parents[2] / "docs/database.md"
ROLES = ("tocsin_owner", "tocsin")


@pytest.fixture
def set_up(database_url: str) -> Iterator[Callable[[str], URL]]:
    """Runs a block of SQL of the page, with names of this worker's own. Gives the URL of the role `tocsin`."""
    server = make_url(database_url)

    def rename(sql: str) -> str:
        return re.sub(r"\b(tocsin(?:_owner)?)\b", rf"{server.database}_\1", sql)

    def run(statements: str, url: URL) -> None:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in filter(None, map(str.strip, statements.split(";"))):
                connection.execute(text(statement))
        engine.dispose()

    def start(name: str) -> URL:
        found = re.search(rf"<!-- sql: {name} -->\n```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        assert found, name
        before, connect, after = rename(found[1]).partition(f"\\connect {rename('tocsin')}\n")
        assert connect
        run(before, server)
        run(after, server.set(database=rename("tocsin")))
        return server.set(database=rename("tocsin"), username=rename("tocsin"))

    yield start
    run(f"DROP DATABASE IF EXISTS {rename('tocsin')} WITH (FORCE)", server)
    for role in ROLES:
        run(f"DROP ROLE IF EXISTS {rename(role)}", server)


def may_create(url: URL) -> list[bool]:
    engine = create_pool(url, autocommit=True, size=1)
    with engine.connect() as connection:
        row = connection.execute(
            text(
                "SELECT rolsuper OR rolcreatedb OR rolcreaterole, has_schema_privilege('public', 'CREATE'),"
                " has_database_privilege(current_database(), 'CREATE') FROM pg_roles WHERE rolname = current_user"
            )
        ).one()
    engine.dispose()
    return list(row)


def test_one_role_with_the_least_rights(set_up: Callable[[str], URL]) -> None:
    url = set_up("one role")
    assert may_create(url) == [False, False, False]
    assert preflight.check_database(url) is Pooling.NONE
    assert migrate(url) == (None, HEAD)
    with closing(Store.open(url)) as store:
        assert build(store)


def test_two_roles_of_which_one_only_reads_and_writes_rows(set_up: Callable[[str], URL]) -> None:
    url = set_up("two roles")
    owner = url.set(username=f"{url.username}_owner")
    assert may_create(owner) == may_create(url) == [False, False, False]
    assert migrate(owner) == (None, HEAD)
    assert preflight.check_database(url) is Pooling.NONE
    with closing(Store.open(url)) as store:
        assert build(store)
        with pytest.raises(Exception, match="must be owner"), store.write() as tx:
            tx.exec_driver_sql("ALTER TABLE incident ADD COLUMN surprise text")


@pytest.fixture
def certificate() -> Iterator[Certificate]:
    made = Certificate()
    yield made
    made.remove()


def test_tls_with_verify_full(database_url: str, tmp_path: Path, certificate: Certificate) -> None:
    """PgBouncer is the server with TLS: PostgreSQL's programs of the tests are built without it."""
    with ExitStack() as running:
        settings = {"client_tls_cert_file": str(certificate.chain), "client_tls_key_file": str(certificate.chain)}
        url = running.enter_context(
            pgbouncer.running(make_url(database_url), tmp_path, "session", client_tls_sslmode="require", **settings)
        )
        verified = {"sslmode": "verify-full", "sslrootcert": str(certificate.authority)}

        def connect(host: str, **query: str) -> str:
            read = normalise_url(url.set(host=host, query=query).render_as_string())
            with closing(Store.open(read)) as store, store.read() as connection:
                return str(connection.scalar(text("SELECT 'connected'")))

        assert connect("localhost", **verified) == "connected"
        with pytest.raises(DatabaseAway, match="does not match host name"):
            connect("db.elsewhere.test", hostaddr="127.0.0.1", **verified)
        with pytest.raises(DatabaseAway, match="certificate verify failed"):
            other = Certificate()
            running.callback(other.remove)
            connect("localhost", **verified | {"sslrootcert": str(other.authority)})
        with pytest.raises(DatabaseAway, match="SSL required"):
            connect("localhost", sslmode="disable")


def test_of_several_hosts_the_one_that_accepts_writes_is_used(database_url: str, tmp_path: Path) -> None:
    primary = make_url(database_url)
    with scratch_postgres() as address:
        standby = make_url(address)
        engine = create_engine(standby, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {primary.database}"))
            connection.execute(text("ALTER SYSTEM SET default_transaction_read_only = on"))
            connection.execute(text("SELECT pg_reload_conf()"))
        engine.dispose()
        hosts = ",".join([str(tmp_path), str(standby.query["host"]), str(primary.query["host"])])
        url = f"postgresql://{primary.username}@/{primary.database}?host={hosts}&port=5432"
        for attributes, read_only in (("read-write", False), ("any", True)):
            pool = create_pool(f"{url}&target_session_attrs={attributes}", size=1)
            with translate_errors(), pool.connect() as connection:
                assert is_read_only(connection) is read_only
            pool.dispose()
