"""The database away: it is told in time, nothing is made up, no text is lost, and it comes back by itself.

That an answer came within Slack's three seconds needs no assertion: who types and presses here waits no longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from sandbox import Person
from storage.engine import Store
from tests.stories.conftest import World
from tests.stories.wire import Wire

TOLD = "I cannot reach my database"


@pytest.fixture
def wire(database_url: str) -> Iterator[Wire]:
    with Wire(database_url) as wire:
        yield wire


@pytest.fixture
def store(wire: Wire) -> Iterator[Store]:
    store = Store.open(wire.url, hung_after_s=None)
    yield store
    store.close()


def eventually(world: World, person: Person, words: str, containing: str) -> None:
    """Asks until the answer is there: how a database is found to be back."""
    world.slack.wait_until(lambda: containing in world.ask(person, words).text, what=f"an answer to {words}")


def test_it_is_told_and_never_an_empty_list(world: World, wire: Wire) -> None:
    world.declare("Payments fail")
    wire.cut()
    for words in ("list", "view 1", "ack 1", "resolve 1", "activity 1", "whoami", "declare Slow", "subscribe 1"):
        text = world.ask(world.ada, words).text
        assert TOLD in text and "No open" not in text and "no incident" not in text, words
    assert "What I can do" in world.ask(world.ada, "help").text
    wire.mend()
    assert "Open" in world.seen_by(world.ada, 1)  # and nothing was changed
    assert "#1 Payments fail" in world.ask(world.ada, "list").text


def test_texts_are_given_back(world: World, wire: Wire) -> None:
    world.declare("Payments fail")
    wire.cut()
    for words in ("comment 1 The replica is lagging", "resolve 1 rolled back", "declare critical Half the shop"):
        text = world.ask(world.ben, words).text
        assert TOLD in text and f"/incident {words}" in text


def test_buttons_are_answered_and_work_again_when_it_is_back(world: World, wire: Wire) -> None:
    world.declare("Payments fail")
    shown = world.view(world.ben, 1)
    world.rest()  # no card comes after what is told
    wire.cut()
    for label in ("Acknowledge", "Resolve", "Comment", "Activity", "Subscribe"):
        world.ben.press(shown, label)
        world.settle()
        assert TOLD in world.ben.sees(world.cast.checkout)[-1].text, label
    assert world.ben.form is None and "Payments fail" in shown.text
    wire.mend()
    world.ben.press(shown, "Acknowledge")
    shown.wait_for(lambda shown: "Seen by Ben Tal" in shown.text)


def test_a_form_stays_open_with_its_text_and_goes_through_later(world: World, wire: Wire) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Comment")
    form = world.ben.wait_for_form("Comment #1").fill("Comment", "The replica is lagging")
    wire.cut()
    assert TOLD in form.submit().errors["Comment"]
    assert form.value("Comment") == "The replica is lagging"
    wire.mend()
    assert form.submit().closed
    assert world.ask(world.ada, "activity 1").text.count("The replica is lagging") == 1


def test_a_restart_between_two_requests_is_not_noticed(world: World, wire: Wire) -> None:
    world.declare("Payments fail")
    for words in ("list", "ack 1", "comment 1 Here", "view 1"):
        wire.reset()
        assert "#1 Payments fail" in world.ask(world.ben, words).text, words


def test_a_server_that_ends_its_connections_is_not_noticed(world: World, wire: Wire, database_url: str) -> None:
    world.declare("Payments fail")
    before = wire.list_open()
    with closing(Store.open(database_url)) as another, another.write() as tx:
        tx.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"  # told to, and gone
            " WHERE pid <> pg_backend_pid() AND datname = current_database() AND usename = current_user"
        )
    world.slack.wait_until(lambda: not {*before} & {*wire.list_open()}, what="the ends of the connections")
    assert "#1 Payments fail" in world.ask(world.ben, "list").text


@pytest.mark.production_deadlines("connect_timeout")
def test_a_database_that_hangs_is_told_too(world: World, wire: Wire) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Comment")
    form = world.ben.wait_for_form("Comment #1").fill("Comment", "From a form")
    wire.hang(world.store)
    text = world.ask(world.ben, "comment 1 The replica is lagging").text
    assert text and "/incident comment 1 The replica is lagging" in text
    assert form.submit().errors["Comment"] and form.value("Comment") == "From a form"
    wire.mend()
    eventually(world, world.ada, "list", "#1 Payments fail")


@pytest.mark.production_deadlines("connect_timeout")
def test_a_hanging_database_with_everybody_asking_leaves_nobody_waiting(world: World, wire: Wire) -> None:
    world.declare("Payments fail")
    people = [world.ada, world.ben, world.dan, world.sue] * 6

    def ask(person: Person) -> str:
        return world.ask(person, "comment 1 Is anybody there?").text

    with ThreadPoolExecutor(len(people)) as pool:
        assert all("You commented on" in text for text in pool.map(ask, people))  # over many connections
        wire.hang(world.store)
        assert all("Is anybody there?" in text for text in pool.map(ask, people))
    wire.mend(losing=True)
    eventually(world, world.ada, "list", "#1 Payments fail")
    wire.reset()  # the bot stops sooner when even what was lost has ended


@pytest.mark.production_deadlines("LOCK_TIMEOUT_MS")
def test_a_row_that_somebody_holds_is_told_as_such(world: World, database_url: str) -> None:
    world.declare("Payments fail")
    with closing(Store.open(database_url)) as another, another.write() as tx:
        tx.exec_driver_sql("SELECT id FROM incident FOR UPDATE")
        answer = world.ask(world.ben, "resolve 1 rolled back the deploy").text
        assert "Somebody else is changing" in answer and "rolled back the deploy" in answer
        assert "#1 Payments fail" in world.ask(world.ben, "list").text  # reading does not wait
    assert "You resolved" in world.ask(world.ben, "resolve 1").text


def test_a_statement_that_takes_too_long_is_no_database_away(world: World) -> None:
    world.declare("Payments fail")
    with world.store.write() as tx:
        tx.exec_driver_sql(
            "CREATE FUNCTION take_too_long() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END $$;"
            " CREATE TRIGGER slow BEFORE INSERT ON incident_activity EXECUTE FUNCTION take_too_long()"
        )
    try:
        text = world.ask(world.ben, "comment 1 The replica is lagging").text
    finally:
        with world.store.write() as tx:
            tx.exec_driver_sql("DROP TRIGGER slow ON incident_activity; DROP FUNCTION take_too_long()")
    assert "This took too long, so I stopped it. Nothing was changed." in text and "The replica is lagging" in text
    assert TOLD not in text
    assert "The replica" not in world.ask(world.ben, "activity 1").text
