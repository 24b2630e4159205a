"""A failover as the bot meets it: the connections it has lead to a server that takes no changes any more, and new ones
to the one that does. And the time before that, in which every connection leads to a server that takes none.
"""

from __future__ import annotations

import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from bot.cli import main
from bot.intake.tokens import Source
from sandbox import SeenMessage
from storage.embedded import EmbeddedPostgres, as_superuser
from storage.embedded.scratch import scratch_folder
from storage.engine import Store
from storage.errors import DatabaseAway, ReadOnlyServer
from storage.migrate import migrate
from tests.applied import let_triggers_be_left_out
from tests.cli.test_settings import VARIABLES
from tests.clock import shadow_database_time
from tests.patience import PATIENCE_S
from tests.stories.conftest import IN_BOTH_MODES, Deliver, World
from tests.stories.test_cards import card
from tests.stories.test_events import A_MINUTE, comments, unanswered, wait_until_acknowledged


@pytest.fixture(scope="module")
def migrated() -> Iterator[Path]:
    """The data folder of a server with a migrated database, to be copied: making one takes a second of CPU."""
    with scratch_folder() as folder:
        with EmbeddedPostgres(folder / "data", durable=False) as url:
            let_triggers_be_left_out(url)
            shadow_database_time(url)
            migrate(url)
        yield folder / "data"


@pytest.fixture
def data(migrated: Path) -> Iterator[Path]:
    """The data folder of the test's own server: what it changes concerns all of its databases."""
    with scratch_folder() as folder:
        subprocess.run(["cp", "-a", migrated, folder / "data"], check=True)
        yield folder / "data"


@pytest.fixture
def database_url(data: Path) -> Iterator[str]:
    with EmbeddedPostgres(data, durable=False) as url:
        yield url


@contextmanager
def administering(url: str) -> Iterator[Connection]:
    """A connection in autocommit that may write whatever the server's settings are."""
    engine = create_engine(
        as_superuser(url).set(drivername="postgresql+psycopg2"),
        isolation_level="AUTOCOMMIT",
        connect_args={"options": "-c default_transaction_read_only=off"},
    )
    with engine.connect() as connection:
        yield connection
    engine.dispose()


class Servers:
    """One server that plays two, by what connections get that exist and those that are made from now on."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = make_url(url).username
        self._changes = 0

    def _set(self, existing: str, new: str) -> None:
        self._changes += 1
        mark = f"{10_000 + self._changes}ms"  # says when what was set is in force
        with administering(self._url) as connection, administering(self._url) as another:
            another.execute(text("SELECT 1"))
            connection.execute(text(f"ALTER ROLE {self._name} SET default_transaction_read_only = {new}"))
            connection.execute(text(f"ALTER SYSTEM SET default_transaction_read_only = {existing}"))
            connection.execute(text(f"ALTER SYSTEM SET deadlock_timeout = '{mark}'"))
            connection.execute(text("SELECT pg_reload_conf()"))
            deadline = time.monotonic() + PATIENCE_S
            while another.execute(text("SHOW deadlock_timeout")).scalar_one() != mark:
                assert time.monotonic() < deadline, "the server does not read its settings"

    def fail_over(self) -> None:
        """The connections that exist lead to the server that was the primary, new ones to the one that is now."""
        self._set(existing="on", new="off")

    def lose_the_primary(self) -> None:
        """Every connection leads to a server that takes no changes."""
        self._set(existing="on", new="on")

    def promote(self) -> None:
        """The server that every connection leads to takes changes."""
        self._set(existing="off", new="off")


@pytest.fixture
def servers(database_url: str) -> Servers:
    return Servers(database_url)


def use_every_connection(world: World) -> SeenMessage:
    """Has the bot's pools filled with connections; gives the card of an incident."""
    world.declare("Payments fail")
    shown = card(world)
    people = [world.ada, world.ben, world.dan, world.sue] * 4
    with ThreadPoolExecutor(len(people)) as pool:
        list(pool.map(lambda person: world.ask(person, "ack 1"), people))
    world.rest()
    return shown


def test_after_a_failover_a_change_goes_through_once_somebody_was_told(world: World, servers: Servers) -> None:
    use_every_connection(world)
    servers.fail_over()
    told = world.ask(world.ben, "comment 1 The replica is lagging").text
    assert "I cannot reach my database" in told and "The replica is lagging" in told
    for words in ("comment 1 Here I am", "resolve 1", "reopen 1", "declare Another", "subscribe 1"):
        answer = world.ask(world.ben, words).text
        assert "database" not in answer and "went wrong" not in answer, answer
    assert "The replica is lagging" not in world.ask(world.ben, "activity 1").text


def test_delivery_goes_on_after_a_failover(world: World, servers: Servers) -> None:
    shown = use_every_connection(world)
    servers.fail_over()
    world.ask(world.ben, "resolve 1")
    assert "You resolved #1" in world.ask(world.ben, "resolve 1").text
    shown.wait_for(lambda shown: "Resolved by" in shown.text)
    world.rest()


def test_a_digest_goes_out_after_a_failover(world: World, servers: Servers) -> None:
    use_every_connection(world)
    assert "every minute" in world.ask(world.ada, 'digest add "* * * * *"').text
    world.rest()
    servers.fail_over()
    with administering(world.store.url.render_as_string(hide_password=False)) as connection:
        connection.execute(text("UPDATE digest SET next_fire_at = now()"))
    world.ada.wait_for_message(world.cast.checkout, "open incident")
    world.rest()


@IN_BOTH_MODES
@pytest.mark.production_deadlines("acknowledge_seconds", "deadline_s")
def test_replies_and_reactions_come_again_when_a_server_takes_changes(world: World, servers: Servers) -> None:
    shown = use_every_connection(world)
    servers.lose_the_primary()
    for number in range(3):
        world.ben.reply(shown, f"reply {number}")
    world.dan.react(shown, "white_check_mark")
    world.slack.wait_until(
        lambda: len(unanswered(world, "message")) >= 6 and len(unanswered(world, "reaction_added")) >= 2,
        timeout=PATIENCE_S,
        what="events that are refused, twice",
    )
    assert not comments(world)
    servers.promote()
    world.slack.clock.advance(A_MINUTE)
    wait_until_acknowledged(world, "message", "reaction_added")
    assert comments(world) == [f"reply {number}" for number in range(3)]
    shown.wait_for(lambda shown: "Resolved by" in shown.text, timeout=PATIENCE_S)
    for kind in ("not_acknowledged", "http_error"):
        world.slack.problems.take(kind)


def test_an_alert_is_told_to_come_again_once(world: World, servers: Servers, deliver: Deliver) -> None:
    assert deliver(Source.EVENTS, {"dedup_key": "disk-1", "title": "Disk 1 is full"}).status_code == 202
    servers.fail_over()
    refused = deliver(Source.EVENTS, {"dedup_key": "disk-2", "title": "Disk 2 is full"})
    assert refused.status_code == 503 and refused.headers["retry-after"]
    assert deliver(Source.EVENTS, {"dedup_key": "disk-2", "title": "Disk 2 is full"}).status_code == 202
    assert "Disk 2 is full" in world.ask(world.ada, "list").text


def test_readyz_says_no_while_only_a_server_is_reached_that_takes_no_changes(
    world: World, servers: Servers, intake: str
) -> None:
    use_every_connection(world)

    def readyz() -> httpx.Response:
        return httpx.get(f"{intake}/readyz")

    assert readyz().json() == {"status": "ok", "database": "ok", "schema": "ok", "slack": "ok"}
    servers.lose_the_primary()
    answer = readyz()
    assert answer.status_code == 503 and "read-only" in answer.json()["database"]
    told = world.ask(world.ben, "ack 1").text
    assert "database" in told and "went wrong" not in told
    assert "#1 Payments fail" in world.ask(world.ben, "list").text  # what can be read is
    servers.promote()
    assert readyz().status_code == 200
    assert "#1 Payments fail" in world.ask(world.ben, "ack 1").text


def test_readyz_leaves_the_old_server_by_itself(world: World, servers: Servers, intake: str) -> None:
    use_every_connection(world)
    servers.fail_over()
    assert httpx.get(f"{intake}/readyz").status_code == 200
    assert "database" not in world.ask(world.ben, "comment 1 Nobody was told anything").text


def test_one_refused_change_ends_all_connections_to_the_old_server(database_url: str, servers: Servers) -> None:
    store = Store.open(database_url)
    with store.read() as one, store.read() as two, store.write() as three, store.write() as four:
        for connection in (one, two, three, four):
            connection.exec_driver_sql("SELECT 1")
    servers.fail_over()
    with pytest.raises(DatabaseAway), store.write() as tx:
        tx.exec_driver_sql("CREATE TABLE there (id int)")
    for use in (store.read, store.read, store.write, store.write):
        with use() as first, use() as second:
            for connection in (first, second):
                assert connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "off"
    store.close()


@pytest.mark.parametrize(
    "ending",
    [
        "SET idle_in_transaction_session_timeout = 1",
        "SELECT pg_terminate_backend(pg_backend_pid())",
    ],
)
def test_a_connection_that_the_server_ends_is_a_database_away(database_url: str, ending: str) -> None:
    store = Store.open(database_url)
    with pytest.raises(DatabaseAway), store.write() as tx:
        tx.exec_driver_sql(ending)
        driver: Any = tx.connection.dbapi_connection
        assert select.select([driver.fileno()], [], [], PATIENCE_S)[0], "the server's last word"
        tx.exec_driver_sql("SELECT 1")
    with store.write() as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar_one() == 1
    store.close()


@pytest.fixture
def standby(data: Path) -> Iterator[str]:
    """A hot standby, whose primary is gone."""
    cluster = data / "cluster"
    signal = cluster / "standby.signal"
    signal.touch()
    shutil.chown(signal, cluster.stat().st_uid, cluster.stat().st_gid)
    with EmbeddedPostgres(data, durable=False) as url:
        yield url


def test_a_standby_is_away_until_it_is_promoted(standby: str) -> None:
    with closing(Store.open(standby)) as store:
        with pytest.raises(ReadOnlyServer):
            store.ensure_writable()
        with pytest.raises(ReadOnlyServer), store.listen("anything"):
            pass
        with pytest.raises(ReadOnlyServer):
            migrate(standby)
        with administering(standby) as connection:
            assert connection.exec_driver_sql("SELECT pg_promote()").scalar_one()
        store.ensure_writable()
        with store.listen("anything") as listening, store.read() as connection:
            connection.exec_driver_sql("NOTIFY anything")
            assert select.select([listening.fileno()], [], [], PATIENCE_S)[0]


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]) -> Run:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1")
    monkeypatch.setenv("HTTP_PORT", "0")
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> tuple[int, str]:
        code = main(words)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out + err

    return typed


@pytest.mark.parametrize(
    "words",
    [
        ("serve",),
        ("migrate",),
        ("token", "create", "--organization", "acme", "--source", "events"),
        ("token", "revoke", "1"),
    ],
)
def test_commands_that_change_something_say_so_on_a_standby(run: Run, servers: Servers, words: tuple[str, ...]) -> None:
    servers.lose_the_primary()
    code, said = run(*words)
    (line,) = said.splitlines()
    assert code == 2 and line.startswith("DATABASE_URL: ") and "read-only" in line


def test_doctor_names_a_standby(run: Run, servers: Servers) -> None:
    servers.lose_the_primary()
    code, said = run("doctor")
    (line,) = [line for line in said.splitlines() if " database:" in line]
    assert code == 1 and line.startswith("FAULT") and "read-only" in line and "primary" in line
