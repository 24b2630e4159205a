"""What an organization keeps no longer is removed, once, in batches; what is open, held or needed stays."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.administration import retention
from bot.administration.retention import BY_ITSELF, remove_old
from storage.audit_rows import Actor
from storage.errors import Contended, DatabaseAway
from storage.queries import retention as queries
from tests.stories.conftest import ORGANIZATION, Run, World

KEEPS = ORGANIZATION.replace(
    "workspaces: [T0001]", "workspaces: [T0001], retention: {closed_incidents: 30d, audit: 60d}"
)
MONTHS = timedelta(days=45)
# What still needs incidents 2, 3 and 4.
NEEDS = """
INSERT INTO silence (organization_id, incident_id, member_id, matchers, starts, ends)
SELECT i.organization_id, i.id, m.id, '{}', now(), now() + interval '9 years' FROM incident i, member m
WHERE i.identifier = 2 AND m.name = 'Ada Obi';
INSERT INTO outbox (incident_id, retry_at)
SELECT id, now() + interval '9 years' FROM incident WHERE identifier = 3;
INSERT INTO alert_memory (organization_id, dedup_key, incident_id, status)
SELECT organization_id, 'k', id, 20 FROM incident WHERE identifier = 4
"""

# Closed incidents of two organizations, of which only the first has a retention.
MANY = """
INSERT INTO organization (slug, name) VALUES ('globex', 'Globex');
INSERT INTO incident (organization_id, identifier, title, status, status_method, date_started, date_detected,
                      date_added, date_closed)
SELECT o.id, n, 'Outage ' || n, 2, 1, now(), now(), now(), now() FROM organization o, generate_series(1, 30) n
"""


def scalars(world: World, statement: str) -> list[int]:
    with world.store.read() as connection:
        return list(connection.execute(text(statement)).scalars())


def numbers(world: World) -> list[int]:
    return scalars(world, "SELECT identifier FROM incident ORDER BY identifier")


def close(world: World, *titles: str) -> None:
    """Incidents that people declared, worked on and resolved."""
    for title in titles:
        number = world.declare(title)
        for words in (f"ack {number}", f"comment {number} looking at it", f"take {number}", f"resolve {number}"):
            assert ":warning:" not in world.ask(world.ben, words).text
    world.rest()


def organization_id(world: World) -> int:
    return scalars(world, "SELECT id FROM organization WHERE slug = 'acme'")[0]


def remove(world: World, actor: Actor = BY_ITSELF) -> retention.Removed:
    return remove_old(world.store, organization_id(world), world.store.clock.now(), actor)


@contextmanager
def later(world: World, by: timedelta) -> Iterator[None]:
    """The same world after a while."""
    world.store.clock.offset += by
    yield
    world.store.clock.offset -= by


def test_only_what_was_closed_long_ago_is_removed(world: World) -> None:
    world.apply(KEEPS)
    close(world, "One", "Two")
    world.declare("Still open")
    assert remove(world).incidents == 0
    with later(world, timedelta(days=29)):
        assert remove(world).incidents == 0
    with later(world, MONTHS):
        assert remove(world).incidents == 2
        assert remove(world).incidents == 0
        assert numbers(world) == [3]
        assert "There is no incident" in world.ask(world.ada, "view 1").text
        assert "Tocsin removed old data on schedule" in world.ask(world.ada, "audit since:1d").text
        assert world.declare("The next one") == 4


def test_without_a_retention_everything_is_kept(world: World) -> None:
    close(world, "One")
    with later(world, timedelta(days=4000)):
        assert (remove(world).incidents, remove(world).entries) == (0, 0)
    assert numbers(world) == [1]


def test_what_is_held_or_still_needed_is_kept(world: World, run: Run) -> None:
    world.apply(KEEPS)
    close(world, "Held", "Silenced", "Being sent", "Firing", "Old")
    assert (
        run("hold", "begin", "--incident", "1")[1]
        == "#1 Held is on legal hold now. Nothing of it is removed or erased.\n"
    )
    with world.store.write() as tx:
        tx.execute(text(NEEDS))
    with later(world, MONTHS):
        assert remove(world).incidents == 1
        assert numbers(world) == [1, 2, 3, 4]
        with world.store.write() as tx:
            tx.execute(text("UPDATE alert_memory SET resolved = now()"))
            tx.execute(text("UPDATE silence SET date_ended = now()"))
            tx.execute(text("DELETE FROM outbox"))
        assert remove(world).incidents == 3
    assert run("hold", "list")[1] == "acme  #1 Held\n"
    assert run("hold", "end", "--incident", "1")[1] == "The legal hold of #1 Held has ended.\n"
    with later(world, MONTHS):
        assert remove(world).incidents == 1


def test_nothing_is_removed_of_an_organization_on_legal_hold(world: World, run: Run) -> None:
    world.apply(KEEPS)
    close(world, "One")
    assert run("hold", "begin", "--reason", "case 7")[0] == 0
    assert run("hold", "begin")[1] == "acme is already on legal hold.\n"
    with later(world, timedelta(days=90)):
        assert (remove(world).incidents, remove(world).entries) == (0, 0)
    assert run("retention")[1] == "acme is on legal hold, so nothing is removed.\n"
    assert run("hold", "end")[0] == 0
    log = run("audit")[1]
    assert "began the legal hold of acme on the command line: reason: case 7" in log
    assert "ended the legal hold of acme" in log
    with later(world, MONTHS):
        assert remove(world).incidents == 1


@pytest.mark.production_deadlines("LOCK_TIMEOUT_MS")
def test_no_hold_begins_while_something_is_being_removed(world: World) -> None:
    world.apply(KEEPS)
    with world.store.write() as tx:
        assert queries.lock_against_hold(tx, organization_id(world)) is not None
        with pytest.raises(Contended), world.store.write() as other:
            queries.hold_organization(other, organization_id(world), held=True)
    with world.store.write() as other:
        assert queries.hold_organization(other, organization_id(world), held=True)
        with world.store.write() as tx:
            assert queries.lock_against_hold(tx, organization_id(world)) is None


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_every_batch_counts_once_however_often_it_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    world.apply(KEEPS)
    monkeypatch.setattr(retention, "INCIDENTS_AT_ONCE", 2)
    monkeypatch.setattr(retention, "ENTRIES_AT_ONCE", 3)
    close(world, "One", "Two", "Three", "Four", "Five")
    entries = len(scalars(world, "SELECT id FROM audit_entry"))
    deletions = [0]
    real_incidents, real_entries = queries.delete_incidents, queries.delete_audit_entries

    def kill_now_and_then() -> None:
        deletions[0] += 1
        if deletions[0] % (killed_after + 1) == killed_after:
            raise DatabaseAway("killed")

    def delete_incidents(*args: object) -> None:
        real_incidents(*args)  # type: ignore[arg-type]
        kill_now_and_then()

    def delete_entries(*args: object) -> None:
        real_entries(*args)  # type: ignore[arg-type]
        kill_now_and_then()

    monkeypatch.setattr(queries, "delete_incidents", delete_incidents)
    monkeypatch.setattr(queries, "delete_audit_entries", delete_entries)
    with later(world, timedelta(days=90)):
        for _ in range(30):
            try:
                remove(world)
                break
            except DatabaseAway:
                continue
        assert numbers(world) == []
        log = "SELECT coalesce(sum((before ->> '{}')::int), 0) FROM audit_entry WHERE action = 'data.retention'"
        assert scalars(world, log.format("incidents")) == [5]
        assert scalars(world, log.format("audit_entries")) == [entries]
        assert scalars(world, "SELECT count(*) FROM audit_entry WHERE action <> 'data.retention'") == [0]


def test_a_batch_has_no_more_of_the_logs_than_it_removes_quickly(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever uses an incident meanwhile waits for the batch, and each entry has replies and messages."""
    world.apply(KEEPS)
    close(world, "One", "Two", "Three")
    for _ in range(9):
        world.ask(world.ben, "comment 2 still looking")
    world.rest()
    of_logs = "SELECT count(*) FROM incident_activity GROUP BY incident_id ORDER BY incident_id"
    first, second, third = scalars(world, of_logs)
    monkeypatch.setattr(retention, "LOG_ENTRIES_AT_ONCE", first + third - 1)
    transactions = []

    def count(_removed: int) -> None:
        transactions.append(sum(scalars(world, of_logs)))

    with later(world, MONTHS):
        now = world.store.clock.now()
        assert remove_old(world.store, organization_id(world), now, BY_ITSELF, tick=count).incidents == 3
    # The first alone, a part of the second, and what is left.
    assert transactions[:3] == [second + third, second + third - (first + third - 1), 0]
    log = "SELECT (before ->> 'incidents')::int FROM audit_entry WHERE action = 'data.retention' ORDER BY id"
    assert scalars(world, log) == [1, 2]


def test_several_processes_remove_everything_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.apply(KEEPS)
    monkeypatch.setattr(retention, "INCIDENTS_AT_ONCE", 2)
    with world.store.write() as tx:
        tx.execute(text(MANY))
    ids = scalars(world, "SELECT id FROM organization ORDER BY slug")
    with later(world, MONTHS):
        now = world.store.clock.now()
        with ThreadPoolExecutor(3) as processes:
            runs = [processes.submit(remove_old, world.store, ids[0], now, BY_ITSELF) for _ in range(3)]
            together = sum(run.result().incidents for run in runs)
        together += remove(world).incidents  # what one passed over because another one had locked it
    assert together == 30
    log = "SELECT sum((before ->> 'incidents')::int) FROM audit_entry WHERE action = 'data.retention'"
    assert scalars(world, log) == [30]
    # Another organization, which keeps everything, has all of its own.
    assert scalars(world, "SELECT DISTINCT organization_id FROM incident") == [ids[1]]
    assert len(numbers(world)) == 30


def test_the_command_says_what_it_removes(world: World, run: Run) -> None:
    assert run("retention")[1] == "acme keeps everything: the organization file has no retention.\n"
    world.apply(KEEPS)
    close(world, "One")
    with world.store.write() as tx:
        tx.execute(text("UPDATE incident SET date_closed = date_closed - interval '40 days'"))
    assert run("retention", "--dry-run")[1] == "acme: 1 closed incident and 0 audit entries would be removed.\n"
    assert numbers(world) == [1]
    assert run("retention")[1] == "acme: 1 closed incident and 0 audit entries removed.\n"
    assert numbers(world) == []


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (("hold", "begin", "--incident", "7"), "--incident: acme has no incident 7."),
        (("hold", "begin", "--incident", "seven"), "'seven' is not a number."),
        (("hold", "begin", "--reason", "a\nb"), "--reason: at most 500 characters, on one line."),
        (("hold", "begin", "--organization", "amce"), "there is no organization 'amce'"),
        (("retention", "--organization", "amce"), "there is no organization 'amce'"),
    ],
)
@pytest.mark.usefixtures("world")
def test_mistakes_are_named_and_nothing_is_changed(run: Run, words: tuple[str, ...], mistake: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "") and mistake in err
    assert run("hold", "list")[2] == "Nothing is on legal hold.\n"
