"""Every step of a call once, whatever happens to the replicas, and none after somebody has taken the incident."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from bot.calls.usergroups import refresh_stale
from bot.incidents import lifecycle, ownership
from bot.incidents.access import Access
from bot.people.identity import Identity
from bot.slack.background import Background
from bot.slack.clients import Clients
from sandbox import Person, Sandbox
from storage.engine import Store
from storage.rows import IncidentHead, NewIncident
from storage.values import Role, Status, StatusMethod
from tests.digests.test_exactly_once import SENT_WITHIN_S, Replica, kill_some, show
from tests.long import LONG
from tests.stories.conftest import apply_file, populate
from tests.stories.test_calls import with_calls

KILLS = 200 if LONG else 6
INCIDENTS = 6  # in a round
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
# After how many minutes of a round its steps are due, and whom each calls. Ada is in Payments, and a manager.
STEPS = {1: (0, {"Ben Tal"}), 2: (5, {"Ada Obi", "Ben Tal", "Sue Perm"}), 3: (15, {"Ada Obi", "Dan Wu"})}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


def ask(connection: Connection, query: str) -> list[Any]:
    return list(connection.execute(text(query)).all())


def get_access(store: Store, name: str) -> Access:
    """What a member may do, as one of Payments."""
    with store.read() as connection:
        organization_id, member_id, email, project_id = connection.execute(
            text(
                "SELECT o.id, m.id, m.email, p.id FROM organization o JOIN member m ON m.organization_id = o.id"
                " JOIN project p ON p.organization_id = o.id WHERE m.name = :name AND p.slug = 'checkout'"
            ),
            {"name": name},
        ).one()
    return Access(
        organization_id=organization_id,
        organization_name="Acme",
        workspace_id="T0001",
        member_id=member_id,
        name=name,
        email=email,
        role=Role.MEMBER,
        superuser=False,
        team_ids=frozenset(),
        loaded_project_ids=(project_id,),
        sees_all=False,
        shared_channels=False,
        timezone="UTC",
    )


def open_critical(store: Store, ben: Access, now: datetime) -> list[IncidentHead]:
    new = NewIncident(
        project_ids=list(ben.project_ids),
        title="Payments fail",
        status=Status.CRITICAL,
        method=StatusMethod.RULE_TRIGGERED,
        date_started=now,
        date_detected=now,
    )
    with store.write() as tx:
        return lifecycle.open_incidents(tx, ben.organization_id, [new] * INCIDENTS, now)


DUE_STEPS = "SELECT 'step' FROM call_step WHERE due_at <= :now"


def wait_until_calm(store: Store, now: datetime, due: str = DUE_STEPS) -> None:
    """Waits until everything that is due has been made and sent, however often that was begun.

    `due` is the statement that finds what is due and not made yet.
    """
    waiting: list[Any] = []
    deadline = time.monotonic() + SENT_WITHIN_S
    while time.monotonic() < deadline:
        with store.read() as connection:
            waiting = list(
                connection.execute(
                    text(
                        f"{due} UNION ALL SELECT 'change' FROM outbox"  # noqa: S608 - composed of constants
                        " UNION ALL SELECT kind FROM post WHERE wanted_version > drawn_version"
                    ),
                    {"now": now},
                ).scalars()
            )
        if not waiting:
            return
        time.sleep(0.1)
    raise AssertionError(f"not calm within {SENT_WITHIN_S} s: {Counter(waiting)}")


def read_ids(people: list[Person]) -> list[str]:
    """The ids in all messages that call somebody."""
    return [
        str((message.metadata or {})["event_payload"]["id"])
        for person in people
        for message in person.direct_messages()
        if "called for" in message.text
    ]


@pytest.mark.timeout(2 * SENT_WITHIN_S + KILLS * 30)
def test_replicas_that_are_killed_make_every_step_once_and_none_after_somebody_took_it(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    chance = random.Random(5)
    clock = tmp_path / "clock"
    with Sandbox() as slack, ExitStack() as ending:
        cast = populate(slack)
        slack.usergroup("S0009", "oncall", "On call", [cast.ben])
        apply_file(store, tmp_path, with_calls())
        clients = Clients.connect(slack.bot_token, slack.api_url)
        show(clock, START)
        refresh_stale(store, clients, Identity(store, clients, Background(slack.api_url)), START)
        ben = get_access(store, "Ben Tal")
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "SLACK_API_URL": slack.api_url,
            "SLACK_BOT_TOKEN": slack.bot_token,
            "REPLICA_CLOCK": str(clock),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        replicas = [Replica(environment, "tests.calls.replica") for _ in range(2)]
        for replica in replicas:
            ending.callback(replica.end)
        killed = 0
        begun, opened = START, list[IncidentHead]()
        taken: set[int] = set()
        while killed < KILLS:
            begun += timedelta(hours=1)
            mine = open_critical(store, ben, begun)
            opened += mine
            for after, _ in STEPS.values():
                now = begun + timedelta(minutes=after, seconds=1)
                show(clock, now)
                killed += kill_some(replicas, chance)
                one = chance.choice(mine)
                if after and one.id not in taken:
                    with store.write() as tx:
                        ownership.take(tx, ben, one.identifier, now)
                    taken.add(one.id)
                wait_until_calm(store, now)
            with store.write() as tx:  # the next round has others
                for one in mine:
                    if one.id not in taken:
                        lifecycle.resolve(tx, ben, one.identifier, now)
            wait_until_calm(store, now)
        assert killed >= KILLS and taken
        people = [cast.ada, cast.ben, cast.dan, cast.sue]
        with store.read() as connection:
            made = ask(
                connection,
                "SELECT s.incident_id, s.step, s.repetition, m.name, p.ts FROM call_step s"
                " JOIN call_recipient r USING (organization_id, incident_id, round, step, repetition)"
                " JOIN member m ON m.id = r.member_id LEFT JOIN post p ON p.id = r.post_id WHERE s.outcome = 'called'",
            )
            posted = ask(connection, "SELECT id || '.' || generation FROM post WHERE kind = 'call' AND ts IS NOT NULL")
            after_taking = ask(
                connection,
                "SELECT c.incident_id FROM incident_activity c JOIN incident_activity o USING (incident_id)"
                " WHERE c.type = 101 AND o.type = 100 AND c.id > o.id",
            )
            entries = ask(connection, "SELECT incident_id, count(*) FROM incident_activity WHERE type = 101 GROUP BY 1")
        assert after_taking == []
        assert Counter(read_ids(people)) == Counter(id_ for (id_,) in posted)
        assert set(Counter(read_ids(people)).values()) == {1}
        for incident in opened:
            steps = {step for id_, step, *_ in made if id_ == incident.id}
            assert steps == set(STEPS) or incident.id in taken
            assert dict(map(tuple, entries))[incident.id] == len(steps)
            for step in steps:
                called = [name for id_, number, _, name, _ in made if (id_, number) == (incident.id, step)]
                assert sorted(called) == sorted(STEPS[step][1])
        assert all(ts is not None for id_, *_, ts in made if id_ not in taken)
