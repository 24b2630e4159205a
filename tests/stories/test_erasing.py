"""A former member is erased: name and ids go, the log stays readable."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from bot.administration import erasing
from storage.errors import DatabaseAway
from tests.stories.conftest import ORGANIZATION, Run, World
from tests.stories.test_calls import make_calls, read_usergroups, with_calls
from tests.stories.test_cards import card
from tests.stories.test_members import change

WITHOUT_BEN = "".join(line for line in ORGANIZATION.splitlines(keepends=True) if "ben@acme.test" not in line)


def find_everywhere(world: World, *texts: str) -> list[str]:
    """The tables in which one of the texts stands."""
    found = []
    with world.store.read() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
        for table in sorted(tables):
            rows = connection.execute(text(f"SELECT t::text FROM {table} t")).scalars()  # noqa: S608
            found += [f"{table}: {row}" for row in rows if any(one in row for one in texts)]
    return found


@pytest.fixture
def gone(world: World) -> World:
    """Ben did what people do, and was removed."""
    oncall = world.slack.usergroup("S0009", "oncall", "On call", [world.ben])
    world.apply(with_calls())
    read_usergroups(world)
    world.declare("Payments fail", options="critical project:checkout team:payments")
    make_calls(world)
    change(world, world.dan, f"member role {world.ben.mention} admin", "Change role")
    for who, words in (
        (world.ben, "ack 1"),
        (world.ben, "comment 1 the replica lags"),
        (world.ada, f"comment 1 thank you {world.ben.mention}"),
        (world.ben, "take 1"),
        (world.ben, 'digest add "weekdays at 9"'),
        (world.ben, 'digest me "weekdays at 9"'),
        (world.ben, "subscribe team:payments critical"),
        (world.ben, "silence 1 2h"),
    ):
        world.ask(who, words)
    world.rest()
    world.slack.set_members(oncall, [world.ada])
    world.slack.settle()
    read_usergroups(world)
    change(world, world.dan, f"member remove {world.ben.mention}", "Remove member")
    world.rest()
    return world


def test_name_and_ids_go_and_the_log_stays_readable(gone: World, run: Run) -> None:
    assert run("erase", "--dry-run", "ben@acme.test")[1] == "Ben Tal (ben@acme.test) would be erased from acme.\n"
    assert find_everywhere(gone, "Ben Tal", "ben@acme.test", "U0002")
    code, out, err = run("erase", "ben@acme.test")
    assert (code, err) == (0, "")
    assert "The person is erased from acme." in out
    assert find_everywhere(gone, "Ben Tal", "ben@acme.test", "U0002") == []
    log = gone.ask(gone.ada, "activity 1").text
    assert "the replica lags" in log and "a former member" in log
    assert "thank you @a former member" in log
    assert "Called a former member" in log
    assert "Seen by a former member" in gone.seen_by(gone.ada, 1)
    audit = gone.ask(gone.ada, "audit").text
    assert "erased a former member on the command line" in audit
    assert "Dan Wu changed the member a former member in Slack" in audit


def test_the_card_shows_it_too(gone: World, run: Run) -> None:
    posted = card(gone)
    assert "Ben Tal" in posted.text
    run("erase", "Ben Tal")
    posted.wait_for(lambda shown: "a former member" in shown.text and "Ben Tal" not in shown.text)


def test_who_was_erased_may_come_again_as_somebody_new(gone: World, run: Run) -> None:
    run("erase", "ben@acme.test")
    assert "You added Ben Tal" in change(gone, gone.dan, f"member add {gone.ben.mention} team:payments", "Add member")
    assert "Ben Tal" not in gone.ask(gone.ada, "activity 1").text
    assert "Seen by a former member" in gone.seen_by(gone.ben, 1)


def test_an_erasing_that_was_cut_off_is_begun_again(gone: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "INCIDENTS_AT_ONCE", 1)
    gone.declare("Another one")
    real, batches = erasing._erase_calls, [0]

    def cut_off(*args: Any) -> None:
        real(*args)
        batches[0] += 1
        if batches[0] == 2:
            raise DatabaseAway("killed")

    monkeypatch.setattr(erasing, "_erase_calls", cut_off)
    assert run("erase", "ben@acme.test")[0] == 1
    assert "Ben Tal" in gone.ask(gone.ada, "audit").text
    assert run("erase", "ben@acme.test")[0] == 0
    assert find_everywhere(gone, "Ben Tal", "ben@acme.test") == []


def test_who_becomes_a_member_again_meanwhile_is_not_erased(
    gone: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = erasing._erase_calls

    def add_again(*args: Any) -> None:
        real(*args)
        change(gone, gone.dan, f"member add {gone.ben.mention} team:payments", "Add member")

    monkeypatch.setattr(erasing, "_erase_calls", add_again)
    code, _, err = run("erase", "ben@acme.test")
    assert code == 2 and "PERSON: Ben Tal is a member." in err
    assert "Ben Tal" in gone.ask(gone.ben, "whoami").text


def test_nobody_else_is_changed(gone: World, run: Run) -> None:
    # Names and addresses in which Ben's are found, too.
    gone.apply(WITHOUT_BEN.replace("cyn@acme.test, name: Cyn Roe", "big.ben@acme.test, name: Ben Talbot"))
    before = find_everywhere(gone, "big.ben@acme.test", "Ben Talbot")
    run("erase", "ben@acme.test")
    assert find_everywhere(gone, "big.ben@acme.test", "Ben Talbot") == before != []


def test_what_is_on_legal_hold_is_not_erased(gone: World, run: Run) -> None:
    run("hold", "begin", "--incident", "1")
    held = "PERSON: Ben Tal takes part in what is on legal hold: #1 Payments fail."
    assert held in run("erase", "ben@acme.test")[2]
    run("hold", "end", "--incident", "1")
    run("hold", "begin")
    assert "PERSON: acme is on legal hold, so nobody is erased until it ends." in run("erase", "ben@acme.test")[2]
    assert find_everywhere(gone, "Ben Tal")


def test_mistakes_are_named_and_nobody_is_erased(world: World, run: Run) -> None:
    for typed, mistake in (
        ("zoe", "PERSON: nobody here is or was called zoe."),
        ("ben@acme.test", "PERSON: Ben Tal is a member. Take them out of the organization file"),
    ):
        code, out, err = run("erase", typed)
        assert (code, out) == (2, "") and mistake in err
    world.apply(ORGANIZATION.replace("name: Cyn Roe", "name: Ben Tal"))
    assert "could be Ben Tal (ben@acme.test), Ben Tal (cyn@acme.test); give the e-mail" in run("erase", "Ben")[2]
    calls = "calls: [{severity: critical, who: ben@acme.test, after: 0m}]"
    world.apply(ORGANIZATION.replace("slack_usergroup: S0001", f"slack_usergroup: S0001, {calls}"))
    with world.store.write() as tx:
        tx.execute(text("UPDATE member SET date_removed = now() WHERE email = 'ben@acme.test'"))
    assert "the team payments still calls ben@acme.test; change its calls first" in run("erase", "ben@acme.test")[2]


def test_an_export_after_it_has_nothing_of_them(gone: World, run: Run) -> None:
    gone.apply(WITHOUT_BEN)
    run("erase", "ben@acme.test")
    assert run("export", "-")[0] == 0
    exported = run("export", "-")[1]
    assert "a former member" in exported
    assert not any(one in exported for one in ("Ben Tal", "ben@acme.test", "U0002"))
