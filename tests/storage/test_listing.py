"""The list query against brute force: every filter, every way of paging, nothing left out and nothing twice."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from bot.incidents import lifecycle, subscriptions
from storage.queries import list_statements, owners
from storage.queries.incident_menu import list_incidents_like
from storage.queries.list_filter import ListFilter
from storage.queries.listing import get_incident_page
from storage.rows import Cursor
from storage.values import NO_TEAM, Status
from tests.house import NOW, House

SIZE = 4


@dataclass
class Known:
    """What the test knows of an incident."""

    id: int
    title: str
    projects: set[int]
    status: Status
    team: int
    environment: str | None
    started: datetime
    closed: datetime | None
    seen: bool
    followed: bool
    owned: bool


@pytest.fixture
def known(house: House) -> list[Known]:
    """Sixty incidents of every kind, many of them started at the same moment."""
    chance = random.Random(7)
    owner = house.access("owner")
    found = []
    for number in range(60):
        projects = chance.choice([["payments"], ["search"], ["payments", "search"]])
        team = chance.choice([None, "payments", "search"])
        environment = chance.choice([None, "prod", "Stage"])
        started = NOW - timedelta(hours=chance.randrange(12))
        status = chance.choice([Status.OPEN, Status.WARNING, Status.CRITICAL])
        title = f"{chance.choice(['Disk', 'disk', 'Redis 100%', 'a_b', 'пауза'])} {number}"
        head = house.open(title, *projects, status=status, team=team, started=started, environment=environment)
        one = Known(
            head.id, title, {house.projects[p] for p in projects}, status, house.teams[team] if team else NO_TEAM,
            environment, started, None, chance.random() < 0.3, chance.random() < 0.3,
            chance.random() < 0.3,
        )  # fmt: skip
        with house.store.write() as tx:
            if one.seen:
                lifecycle.acknowledge(tx, owner, head.identifier, NOW)
            if one.owned:
                owners.set_owner(tx, head.organization_id, head.id, owner.member_id, NOW)
            if one.followed:
                subscriptions.subscribe(tx, owner, head.identifier, NOW)
            if chance.random() < 0.4:
                if not one.followed:
                    subscriptions.unsubscribe(tx, owner, head.identifier, NOW)
                one.closed = started + timedelta(hours=1)
                lifecycle.resolve(tx, owner, head.identifier, one.closed)
                one.status = Status.CLOSED
                one.followed = True
        found.append(one)
    return found


def expected(known: list[Known], wanted: ListFilter) -> list[int]:
    def fits(one: Known) -> bool:
        return (
            bool(one.projects & set(wanted.project_ids))
            and (not wanted.open or one.status is not Status.CLOSED)
            and (wanted.status is None or one.status is wanted.status)
            and all(word.lower() in one.title.lower() for word in wanted.words)
            and (wanted.team_ids is None or one.team in wanted.team_ids)
            and (wanted.environment is None or (one.environment or "").lower() == wanted.environment.lower())
            and (wanted.since is None or one.closed is None or one.closed >= wanted.since)
            and (wanted.until is None or one.started <= wanted.until)
            and (wanted.unseen_by is None or not one.seen)
            and (wanted.followed_by is None or one.followed)
            and (wanted.owned_by is None or one.owned)
            and not (wanted.unowned and one.owned)
        )

    fitting = [one for one in known if fits(one)]
    return [one.id for one in sorted(fitting, key=lambda one: (one.started, one.id), reverse=True)]


def pages(house: House, wanted: ListFilter, member: int) -> list[list[int]]:
    """Every page from the first to the last, having looked that going back shows the same ones."""
    found: list[list[int]] = []
    cursor: Cursor | None = None
    with house.store.read() as connection:
        while True:
            page = get_incident_page(connection, wanted, member, cursor=cursor, size=SIZE)
            found.append([line.id for line in page.lines])
            assert (page.newer is None) == (len(found) == 1)
            if page.older is None:
                break
            cursor = page.older
        back = page
        for number in range(len(found) - 2, -1, -1):
            back = get_incident_page(connection, wanted, member, cursor=back.newer, size=SIZE)
            assert [line.id for line in back.lines] == found[number]
            assert back.older is not None and (back.newer is None) == (number == 0)
    return found


@pytest.mark.parametrize("merged", [list_statements.MERGED, ()], ids=["few projects", "many projects"])
@pytest.mark.parametrize("near", [list_statements.NEAR, 6], ids=["all near", "few near"])
@pytest.mark.parametrize("whole", [False, True], ids=["some projects", "every project"])
def test_every_filter_lists_what_brute_force_finds(
    house: House,
    known: list[Known],
    whole: bool,
    near: int,
    merged: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(list_statements, "MERGED", merged)
    monkeypatch.setattr(list_statements, "NEAR", near)
    monkeypatch.setattr(list_statements, "NEAR_IN_BRANCH", min(near, list_statements.NEAR_IN_BRANCH))
    chance = random.Random(11)
    member = house.members["owner"]
    every = sorted(house.projects.values())
    for _ in range(150):
        sort = chance.choice(["all", "open", "status"])
        wanted = ListFilter(
            house.organization_id,
            project_ids=every if whole else chance.choice([every, every[:1], every[1:], []]),
            of_all_projects=whole,
            open=sort == "open",
            status=chance.choice(list(Status)) if sort == "status" else None,
            words=chance.choice([(), (), ("disk",), ("DISK", "1"), ("100%",), ("_",), ("ПАУЗА",), ("\\",)]),
            team_ids=chance.choice(
                [None, None, (), (NO_TEAM,), (house.teams["payments"],), (NO_TEAM, house.teams["search"])]
            ),
            environment=chance.choice([None, None, "prod", "STAGE", "nowhere"]),
            since=chance.choice([None, None, NOW - timedelta(hours=6)]),
            until=chance.choice([None, None, NOW - timedelta(hours=4)]),
            unseen_by=chance.choice([None, None, member]),
            followed_by=chance.choice([None, None, member]),
            owned_by=chance.choice([None, None, member]),
            unowned=chance.random() < 0.2,
        )
        found = pages(house, wanted, member)
        assert [one for page in found for one in page] == expected(known, wanted), wanted
        assert all(len(page) == SIZE for page in found[:-1])


def test_a_line_says_what_the_incident_is(house: House, known: list[Known]) -> None:
    member = house.members["owner"]
    with house.store.read() as connection:
        wanted = ListFilter(house.organization_id, project_ids=sorted(house.projects.values()))
        lines = get_incident_page(connection, wanted, member, cursor=None, size=100).lines
    names = {NO_TEAM: None, **{id_: slug.title() for slug, id_ in house.teams.items()}}
    by_id = {one.id: one for one in known}
    assert len(lines) == len(known)
    for line in lines:
        one = by_id[line.id]
        assert (line.title, line.status, line.environment) == (one.title, one.status, one.environment)
        assert (line.team, line.date_started, line.date_closed) == (names[one.team], one.started, one.closed)
        assert (line.seen_by_caller, line.seen_count) == (one.seen, int(one.seen))


@pytest.mark.usefixtures("known")
def test_what_is_typed_into_a_menu_finds_each_incident_once(house: House) -> None:
    owner = house.access("owner")
    with house.store.read() as connection:
        for typed in ("0", "00", "1", "12", "01", "disk", "1 disk", ""):
            found = list_incidents_like(connection, owner.organization_id, owner.project_ids, typed, limit=SIZE)
            assert len({line.id for line in found}) == len(found), typed
        numbers = [
            line.identifier
            for line in list_incidents_like(connection, owner.organization_id, owner.project_ids, "1", limit=6)
        ]
    assert numbers == [1, 10, 11, 12, 13, 14]


def test_a_place_in_the_list_outlives_the_incident_that_marked_it(house: House, known: list[Known]) -> None:
    member = house.members["owner"]
    wanted = ListFilter(house.organization_id, project_ids=sorted(house.projects.values()))
    everything = expected(known, wanted)
    with house.store.read() as connection:
        first = get_incident_page(connection, wanted, member, cursor=None, size=SIZE)
        connection.exec_driver_sql("DELETE FROM incident WHERE id = %(id)s", {"id": everything[SIZE - 1]})
        second = get_incident_page(connection, wanted, member, cursor=first.older, size=SIZE)
    assert [line.id for line in second.lines] == everything[SIZE : 2 * SIZE]
