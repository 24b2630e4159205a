"""Whatever DATABASE_URL says: one line that names what is wrong and no part of a secret, and never a traceback."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, text

from bot.cli import main
from storage import preflight
from storage.embedded import as_superuser
from storage.engine import Store, create_pool, translate_errors
from storage.errors import DatabaseAway
from storage.migrate import HEAD, migrate
from storage.url import BadDatabaseUrl, describe_server, normalise_url
from tests.cli.test_settings import VARIABLES
from tests.organization.test_file import ACME
from tests.patience import SESSION_TIMEOUTS

COMMANDS = (["migrate"], ["apply", "acme.yaml"], ["token", "list"], ["serve"], ["demo"], ["doctor"])
HOST = "127.0.0.1:1"  # where nothing listens
Told = Callable[..., list[str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    """What commands say of a DATABASE_URL that they refuse, each of them the same in one line."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-2-3")
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1-2")
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:1/api/")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme.yaml").write_text(ACME, encoding="utf-8")

    def said(url: str | URL, commands: tuple[list[str], ...] = COMMANDS) -> list[str]:
        shown = url if isinstance(url, str) else url.render_as_string(hide_password=False)
        monkeypatch.setenv("DATABASE_URL", shown)
        sentences = []
        for words in commands:
            code = main(words)
            out, err = capsys.readouterr()
            assert "Traceback" not in out + err
            if words == ["doctor"]:
                faults = [line for line in out.splitlines() if "database" in line.lower()]
                assert (code, len(faults)) == (1, 1), out
                assert faults[0].startswith("FAULT  ")
                sentences += faults
            else:
                assert (code, out, len(err.splitlines())) == (2, "", 1), err
                sentences.append(err.strip())
        return sentences

    return said


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        (f"postgresql://t:Sup3r@Secret9@{HOST}/d", "the host holds an @; write an @ of the password as %40"),
        (f"postgresql://t:Sup3r@Sec/ret9@{HOST}/d", "behind the host"),
        (f"postgresql://t:Sup3r@Sec?ret9=1@{HOST}/d", "behind the host"),
        (f"postgresql://Sup3r/x:Secret9@{HOST}/d", "behind the host"),
        (f"postgresql+asyncpg://t:Secret9@{HOST}/d?ssl=require", '"ssl" is no option of libpq; did you mean sslmode?'),
        (f"postgresql://t:Secret9@{HOST}/d?schema=public", "options=-csearch_path"),
        (f"postgresql://t:Secret9@{HOST}/d?pgbouncer=true", '"pgbouncer" is no option of libpq; leave it out'),
        (f"postgresql://t:Secret9@{HOST}/d?sslmod=require", "did you mean sslmode?"),
        (f"postgresql://t:Secret9@{HOST}/d?plugin=x&connection_factory=y", '"plugin" is no option'),
        (f"postgresql://t:Secret9@{HOST}/d?dsn=x", '"dsn" is no option'),
        (f"postgresql://{HOST}/d?user=t&password=Sup3r&Secret9=1", "write an & in a value as %26"),
        (f"postgresql://{HOST}/d?password=Sup3r&Secret9", "has no value"),
        (f"postgresql://t:x@{HOST}/d?sslmode=yes", "invalid sslmode value"),
        (f"postgresql://t:x@{HOST}/d?target_session_attrs=best", "invalid target_session_attrs value"),
        (f"postgresql://t:x@{HOST}/d?service=nowhere", "definition of service not found"),
        (f"postgresql://t:x@{HOST}/d?connect_timeout=abc", "connect_timeout should be a whole number"),
        (f"postgresql://t:x@{HOST}/d?replication=true", "replication"),
        ("postgresql://t:x@127.0.0.1:99999/d", "should have ports from 1 to 65535"),
        ("postgresql://t:x@127.0.0.1:0/d", "should have ports from 1 to 65535"),
        ("postgresql://t:x@127.0.0.1:five/d", "should have ports from 1 to 65535"),
        ("postgresql://t:Secret9", "should have ports"),
        ("postgresql://t:x@one:1,two:2,three:3/d?port=1,2", "one port for all hosts, or one for each"),
        ("postgresql://t:x@[::1/d", "the host cannot be read"),
        ("postgresql://t:x@two words/d", "what no host has"),
        ("postgresql://t:x@a&password=Secret9/d", "what no host has"),
        ("postgresql://t:%ff@h/d", "UTF-8"),
        ("postgresql://t:\udcff@h/d", "UTF-8"),
        ("postgresql://t:x@h/d%00", "NUL"),
        ("mysql://t:Secret9@h/d", "not PostgreSQL"),
        ("t:Secret9@h/d", "not a URL"),
    ],
)
def test_a_mistake_in_the_url_is_one_line_of_every_command(told: Told, url: str, hint: str) -> None:
    for line in told(url):
        assert "DATABASE_URL" in line and hint in line
        assert "Sup3r" not in line and "Secret9" not in line and "ret9" not in line


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgres://h", {"host": "h"}),
        ("PostgreSQL+psycopg://u:p%40%2F%3F@h:1/d", {"user": "u", "password": "p@/?", "host": "h", "port": 1}),
        ("postgresql://u:a/b?c#d:e@h/d", {"password": "a/b?c#d:e", "host": "h", "dbname": "d"}),
        ("postgresql://ada@corp:p@h/d", {"user": "ada@corp", "password": "p"}),
        ("postgresql://u:100%sure@h/d", {"password": "100%sure"}),
        ("postgresql://u:p@%2Fvar%2Frun%2Fpg/d", {"host": "/var/run/pg", "dbname": "d"}),
        ("postgresql:///d?host=/tmp/a+b&user=me@azure", {"host": "/tmp/a b", "user": "me@azure"}),
        ("postgresql://u:p@[::1]:7/d", {"host": "::1", "port": 7}),
        ("postgresql://u:p@one:1,two:2/d?target_session_attrs=any", {"host": "one,two", "port": "1,2"}),
        ("postgresql://u:p@one,[::1]:2/d", {"host": "one,::1", "port": ",2"}),
        ("postgresql://u:p@/d?host=one:1&host=two:2", {"host": "one,two", "port": "1,2"}),
        ("postgresql://u:p@/d?host=one,two&port=7", {"host": "one,two", "port": "7,7"}),
        (
            "postgresql://h/d?options=-csearch_path%3Da%20-cwork_mem%3D8MB",
            {"options": "-csearch_path=a -cwork_mem=8MB"},
        ),
        ("postgresql://h/d?application_name=mine&connect_timeout=7", {"application_name": "mine"}),
    ],
)
def test_what_the_url_says_reaches_libpq(url: str, wanted: dict[str, object]) -> None:
    read = normalise_url(url)
    (nothing, given_) = read.get_dialect()().create_connect_args(read)
    assert nothing == [] or nothing == ()
    assert {name: given_.get(name) for name in wanted} == wanted
    assert normalise_url(read.render_as_string(hide_password=False)) == read


def test_a_value_that_libpq_refuses_is_not_repeated() -> None:
    """It may be a part of a password with a question mark."""
    with pytest.raises(BadDatabaseUrl) as refused:
        normalise_url("postgresql://u:p@h/d?sslmode=Secret9")
    assert str(refused.value) == "invalid sslmode value"


def test_the_server_is_named_without_secrets() -> None:
    assert describe_server(normalise_url("postgresql://u:p@one:1,two:2/d")) == "one:1, two:2"
    assert describe_server(normalise_url("postgresql://u:p@h/d")) == "h"
    assert describe_server(normalise_url("postgresql:///d?host=/tmp&port=7")) == "/tmp:7"


PIECE = st.one_of(
    st.sampled_from(
        ["%", "%4", "%zz", "%40", "%00", "%ff", "@", ":", "/", "//", "?", "&", "=", "#", "[", "]", ",", " "]
    ),
    st.sampled_from(["Secret9", "d", "options=", "-c x=y", "sslmode=", "host=", "port=", "99999", "\n", "ä", "\udcff"]),
)
TEXT = st.lists(PIECE, max_size=6).map("".join)
# No name that would have to be looked up.
PLACES = st.sampled_from(
    [HOST, "[::1]:1", "%2Fnowhere", "", "127.0.0.1:1,[::1]:1", "/nowhere:5", "%40none", "127.0.0.1:0"]
)


@given(TEXT, TEXT, PLACES, TEXT, TEXT)
@example("", "", "127.0.0.1:1", "", "sslmode=Secret9\n")
@example("", "", "127.0.0.1:1", "", 'sslmode=a"Secret9')
@settings(max_examples=400, deadline=None)
def test_no_url_leads_to_anything_but_an_answer(user: str, password: str, place: str, name: str, query: str) -> None:
    try:
        url = normalise_url(f"postgresql://{user}:Pa55{password}@{place}/{name}?{query}")
    except BadDatabaseUrl as error:
        assert "Pa55" not in str(error) and "Secret9" not in str(error).replace(f'"{query}', "")
        return
    names = str(url.query.get("host") or url.host or "")
    if not all(one.startswith(("/", "@", "127.", "::1")) for one in names.split(",")) or "hostaddr" in url.query:
        return
    engine = create_pool(url, size=1)
    with pytest.raises(DatabaseAway) as away, translate_errors(), engine.connect():
        pass
    engine.dispose()
    assert "Pa55" not in str(away.value)


# --- what the role may do -----------------------------------------------------------------------------------


class Fresh:
    """An empty database of a test's own, and a role that may do what every role may.

    Statements and hints say `weak` and `fresh` for the two; the server is shared by all workers of a run.
    """

    def __init__(self, server: URL) -> None:
        self._server = server
        self.name, self.role = f"{server.database}_fresh", f"{server.database}_weak"
        self.url = server.set(database=self.name, username=self.role)
        self.url_of_owner = server.set(database=self.name)

    def say(self, words: str) -> str:
        """The words with the names of the two."""
        return re.sub(r"\bweak\b", self.role, re.sub(r"\bfresh\b", self.name, words))

    def run(self, *statements: str, on: URL | None = None) -> None:
        """Runs statements as the owner of the server, in the new database."""
        engine = create_pool(on or self.url_of_owner, autocommit=True, size=1)
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(self.say(statement)))
        engine.dispose()

    def clear(self) -> None:
        """Takes the two away."""
        self.run("DROP DATABASE IF EXISTS fresh WITH (FORCE)", "DROP ROLE IF EXISTS weak", on=self._server)

    def make(self) -> None:
        """Makes the two anew."""
        self.clear()
        self.run("CREATE ROLE weak LOGIN", "CREATE DATABASE fresh", on=self._server)


@pytest.fixture
def fresh(database_url: str) -> Iterator[Fresh]:
    made = Fresh(as_superuser(database_url))
    made.make()
    yield made
    made.clear()


OWN_SCHEMA = ("CREATE SCHEMA s AUTHORIZATION weak", "ALTER ROLE weak IN DATABASE fresh SET search_path = s")


@pytest.mark.parametrize(
    ("statements", "hint"),
    [
        ((), "the role weak may not create tables in schema public: GRANT CREATE ON SCHEMA public TO weak"),
        (OWN_SCHEMA, "have a DBA run CREATE EXTENSION pg_trgm in the database fresh"),
        (("ALTER ROLE weak IN DATABASE fresh SET search_path = gone",), "no schema of the search path (gone)"),
        (("CREATE SCHEMA x", "CREATE EXTENSION pg_trgm SCHEMA x", *OWN_SCHEMA), "GRANT USAGE ON SCHEMA x TO weak"),
        (
            ("CREATE TABLE alembic_version (version_num text)", "GRANT CREATE ON SCHEMA public TO weak"),
            "may not read and write the table alembic_version",
        ),
    ],
)
def test_a_right_that_is_missing_is_named(fresh: Fresh, told: Told, statements: tuple[str, ...], hint: str) -> None:
    fresh.run(*statements)
    for line in told(fresh.url, (["migrate"], ["apply", "acme.yaml"], ["token", "list"], ["serve"], ["doctor"])):
        assert fresh.say(hint) in line
    with closing(Store.open(fresh.url)) as store, store.read() as connection:
        assert connection.scalar(text("SELECT to_regclass('incident')")) is None


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE EXTENSION pg_trgm", *OWN_SCHEMA),  # as a DBA does, in public
        ("GRANT CREATE ON DATABASE fresh TO weak", *OWN_SCHEMA),
        ("GRANT CREATE ON DATABASE fresh TO weak", "GRANT CREATE ON SCHEMA public TO weak"),
        (
            'CREATE SCHEMA "Odd one"',
            'GRANT USAGE ON SCHEMA "Odd one" TO weak',
            'CREATE EXTENSION pg_trgm SCHEMA "Odd one"',
            *OWN_SCHEMA,
        ),
    ],
)
def test_the_rights_that_are_named_are_enough(fresh: Fresh, statements: tuple[str, ...]) -> None:
    fresh.run(*statements)
    preflight.check_database(fresh.url)
    assert migrate(fresh.url) == (None, HEAD)
    with closing(Store.open(fresh.url)) as store, store.read() as connection:
        schema = connection.scalar(
            text("SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'incident'")
        )
        assert schema == ("s" if OWN_SCHEMA[0] in statements else "public")


def test_a_role_that_may_only_use_what_another_made_works_where_nothing_is_to_be_migrated(
    fresh: Fresh, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(fresh.url_of_owner)
    for line in told(fresh.url, (["token", "list"], ["doctor"])):
        assert re.search("may not read and write the table .*: GRANT SELECT", line)
    fresh.run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO weak")
    assert main(["token", "list"]) == 0
    assert capsys.readouterr().err == ""
    fresh.run("UPDATE alembic_version SET version_num = '0001'", "GRANT CREATE ON SCHEMA public TO weak")
    for line in told(fresh.url, (["token", "list"], ["doctor"])):
        assert "does not own the table" in line


@pytest.mark.production_deadlines(*SESSION_TIMEOUTS)
def test_options_of_the_url_are_kept_and_time_outs_are_the_bots(fresh: Fresh) -> None:
    fresh.run("CREATE EXTENSION pg_trgm", "CREATE SCHEMA apart AUTHORIZATION weak")
    options = "-csearch_path=apart -cwork_mem=9MB -cstatement_timeout=0 -ctimezone=Asia/Kolkata"
    url = normalise_url(
        fresh.url.update_query_dict({"options": options, "application_name": "mine"}).render_as_string()
    )
    assert migrate(url) == (None, HEAD)
    with closing(Store.open(url)) as store, store.read() as connection:
        shown = [
            connection.scalar(text(f"SHOW {name}"))
            for name in ("search_path", "work_mem", "application_name", "statement_timeout", "timezone")
        ]
        where_ = connection.execute(
            text("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('incident', 'alembic_version')")
        ).all()
    assert shown == ["apart", "9MB", "mine", "2s", "UTC"]
    assert [row[0] for row in where_] == ["apart"]


def test_a_process_whose_user_has_no_name_can_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as a bare number: libpq is not to look for that name."""
    users = []

    def connect(**parameters: str) -> None:
        users.append(parameters["user"])
        raise psycopg2.OperationalError(parameters["host"])

    monkeypatch.setattr("storage.url.psycopg2.connect", connect)
    normalise_url("postgresql://tocsin@db.example.com/tocsin?sslmode=require")
    assert users == ["anybody"]
