"""What docs/database.md says about rights, TLS and hosts, tried on a real server."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import yaml
from sqlalchemy import URL, create_engine, make_url, text

from bot.deployment import COMPOSE
from sandbox.tls import Certificate
from storage import preflight
from storage.embedded import as_superuser, scratch_postgres
from storage.embedded.binaries import get_wheel_folder
from storage.engine import Store, create_pool, is_read_only, translate_errors
from storage.errors import DatabaseAway
from storage.migrate import HEAD, migrate
from storage.session_settings import Pooling
from storage.url import normalise_url
from tests.house import build
from tests.storage import pgbouncer

PAGE = Path(__file__).parents[2] / "docs/database.md"
COMPOSE_ROLE = COMPOSE.parent / "deploy/compose/role.sql"
ROLES = ("tocsin_owner", "tocsin_before", "tocsin", "postgres")


class Page:
    """Runs the SQL of the page with psql, as the superuser of the server, with names of this worker's own."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self.url = server.set(database=self.rename("tocsin"), username=self.rename("tocsin"))

    def rename(self, sql: str) -> str:
        return re.sub(rf"\b({'|'.join(ROLES)})\b", rf"{self._server.database}_\1", sql)

    def run(self, sql: str, database: str = "template1") -> None:
        """`database` is where psql connects to first."""
        place = [f"--{name}={self._server.query[name]}" for name in ("host", "port")]
        place += [f"--username={self._server.username}", f"--dbname={self.rename(database)}"]
        subprocess.run(
            [get_wheel_folder() / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *place],
            input=self.rename(sql),
            text=True,
            env={**os.environ, "POSTGRES_PASSWORD": "geheim"},
            check=True,
            capture_output=True,
        )

    def set_up(self, name: str, database: str = "template1") -> URL:
        """Runs a block. Gives the URL of the role `tocsin`."""
        found = re.search(rf"<!-- sql: {name} -->\n```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        assert found, name
        self.run(found[1], database)
        return self.url


@pytest.fixture
def page(database_url: str) -> Iterator[Page]:
    made = Page(as_superuser(database_url))
    yield made
    made.run("DROP DATABASE IF EXISTS tocsin WITH (FORCE)")
    for role in ROLES:
        made.run(f"DROP ROLE IF EXISTS {role}")


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


def test_one_role_with_the_least_rights(page: Page) -> None:
    url = page.set_up("one role")
    assert may_create(url) == [False, False, False]
    assert preflight.check_database(url) is Pooling.NONE
    assert migrate(url) == (None, HEAD)
    with closing(Store.open(url)) as store:
        assert build(store)


def test_two_roles_of_which_one_only_reads_and_writes_rows(page: Page) -> None:
    url = page.set_up("two roles")
    owner = url.set(username=f"{url.username}_owner")
    assert may_create(owner) == may_create(url) == [False, False, False]
    assert migrate(owner) == (None, HEAD)
    assert preflight.check_database(url) is Pooling.NONE
    with closing(Store.open(url)) as store:
        assert build(store)
        with pytest.raises(Exception, match="must be owner"), store.write() as tx:
            tx.exec_driver_sql("ALTER TABLE incident ADD COLUMN surprise text")


def is_bound(store: Store, role: str) -> bool:
    """Whether a role owns every table, and row-level security binds it."""
    with store.read() as connection:
        return bool(
            connection.exec_driver_sql(
                "SELECT current_user = %(role)s AND NOT rolsuper AND NOT rolbypassrls AND NOT EXISTS ("
                "SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')"
                " AND relowner <> r.oid) FROM pg_roles r WHERE rolname = current_user",
                {"role": role},
            ).scalar_one()
        )


def test_a_superuser_becomes_a_plain_role_under_the_same_name(page: Page) -> None:
    page.run("CREATE ROLE tocsin SUPERUSER LOGIN; CREATE DATABASE tocsin OWNER tocsin;")
    assert migrate(page.url) == (None, HEAD)
    with closing(Store.open(page.url)) as store:
        assert not is_bound(store, str(page.url.username))
    page.set_up("plain role", "tocsin")
    with closing(Store.open(page.url)) as store:
        assert is_bound(store, str(page.url.username))
        assert build(store)
        with store.write() as tx:  # as a migration does
            tx.exec_driver_sql("ALTER TABLE incident ADD COLUMN surprise text; CREATE TABLE surprise ()")


def test_the_role_of_the_compose_file_is_no_superuser(page: Page) -> None:
    page.run("CREATE ROLE postgres SUPERUSER LOGIN PASSWORD 'x'")
    page.run(COMPOSE_ROLE.read_text(encoding="utf-8"))
    assert preflight.check_database(page.url) is Pooling.NONE
    assert migrate(page.url) == (None, HEAD)
    with closing(Store.open(page.url)) as store:
        assert is_bound(store, str(page.url.username))
    compose = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert (
        "./deploy/compose/role.sql:/docker-entrypoint-initdb.d/role.sql:ro"
        in compose["services"]["postgres"]["volumes"]
    )


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
        engine = create_engine(as_superuser(standby), isolation_level="AUTOCOMMIT")
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
