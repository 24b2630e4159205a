"""What a digest says: its numbers against an independent count, its order, and Slack's limits with 5,000 open."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from statistics import median

import pytest
from sqlalchemy import Connection, event, text

from bot.digests import content
from bot.digests.content import PAGE_SIZE, PICTURE_DAYS
from bot.digests.summary import summarize
from bot.incidents.access import Access
from bot.incidents.filters import parse_query
from bot.messages import digest as messages
from bot.messages.digest import Picture
from sandbox.payload_checks import require_message
from storage.digest_rows import DailyCounts, DigestContent, DigestRow
from storage.engine import Store
from storage.queries import digests as queries
from storage.values import ActivityType, Status
from tests.digests.test_exactly_once import make_digest
from tests.statements import reads_the_time
from tests.stories.conftest import ORGANIZATION, apply_file

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
SEVERITIES = (Status.OPEN, Status.WARNING, Status.CRITICAL)


@dataclass(frozen=True)
class One:
    """An incident as the test knows it."""

    identifier: int
    title: str
    severity: Status  # now, or when it was resolved
    project: str
    team: str | None
    started: datetime
    added: datetime
    closed: datetime | None
    seen: datetime | None  # first, by anybody
    first: Status | None = None  # the severity with which it was opened, if it was another one
    changed: datetime | None = None  # when the severity changed
    away: tuple[datetime, datetime] | None = None  # resolved and reopened

    def was(self, moment: datetime) -> Status | None:
        """Its severity at a moment; None while it was not open."""
        if moment < self.added or (self.closed and moment >= self.closed):
            return None
        if self.away and self.away[0] <= moment < self.away[1]:
            return None
        return self.first if self.first and self.changed and moment < self.changed else self.severity


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    store = Store.open(database_url)
    apply_file(store, tmp_path, ORGANIZATION)
    yield store
    store.close()


def some(chance: random.Random, count: int) -> list[One]:
    """Incidents of the last three weeks, most of them resolved."""
    found = []
    for identifier in range(1, count + 1):
        started = NOW - timedelta(minutes=chance.uniform(1, 21 * 24 * 60))
        closed = started + timedelta(minutes=chance.expovariate(1 / 3000))
        seen = started + timedelta(minutes=chance.expovariate(1 / 600))
        added = started + timedelta(minutes=min(3, (NOW - started) / timedelta(minutes=2)))
        # Some were raised or lowered later, and some were resolved and reopened in between.
        moments = sorted(added + (min(closed, NOW) - added) * chance.random() for _ in range(3))
        changes = chance.random() < 0.4
        reopens = chance.random() < 0.3
        found.append(
            One(
                identifier,
                f"{chance.choice(['Slow', 'Broken', 'Full'])} {identifier}",
                chance.choice(SEVERITIES),
                chance.choice(["checkout", "catalogue"]),
                chance.choice(["Payments", "Search", None]),
                started,
                added,
                closed if closed < NOW else None,
                seen if seen < min(closed, NOW) else None,
                chance.choice(SEVERITIES) if changes else None,
                moments[0] if changes else None,
                (moments[1], moments[2]) if reopens else None,
            )
        )
    return found


def write(store: Store, incidents: list[One]) -> None:
    """Writes them straight into the tables."""
    with store.write() as tx:
        teams = {row[1]: row[0] for row in tx.execute(text("SELECT id, name FROM team"))}
        projects = {row[1]: row[0] for row in tx.execute(text("SELECT id, slug FROM project"))}
        organization_id, member_id = tx.execute(
            text("SELECT organization_id, id FROM member WHERE role = 'owner'")
        ).one()
        tx.execute(
            text(
                "INSERT INTO incident (id, organization_id, identifier, title, status, status_method,"
                " status_before_closing, team_id, date_started, date_detected, date_added, date_closed)"
                " OVERRIDING SYSTEM VALUE VALUES (:id, :organization, :id, :title, :status, 1, :before, :team,"
                " :started, :started, :added, :closed)"
            ),
            [
                {
                    "id": one.identifier,
                    "organization": organization_id,
                    "title": one.title,
                    "status": int(Status.CLOSED if one.closed else one.severity),
                    "before": int(one.severity) if one.closed else None,
                    "team": teams.get(one.team),
                    "started": one.started,
                    "added": one.added,
                    "closed": one.closed,
                }
                for one in incidents
            ],
        )
        tx.execute(
            text(
                "INSERT INTO incident_project (incident_id, project_id, started, status, team_id)"
                " VALUES (:id, :project, :started, :status, :team)"
            ),
            [
                {
                    "id": one.identifier,
                    "project": projects[one.project],
                    "started": one.started,
                    "status": int(Status.CLOSED if one.closed else one.severity),
                    "team": teams.get(one.team, 0),
                }
                for one in incidents
            ],
        )
        tx.execute(
            text(
                "INSERT INTO incident_activity (incident_id, type, value, previous_value, date_added)"
                " VALUES (:id, :type, :value, :previous, :at)"
            ),
            [entry for one in incidents for entry in entries(one)],
        )
        seen = [one for one in incidents if one.seen]
        if seen:
            tx.execute(
                text(
                    "INSERT INTO incident_seen (incident_id, member_id, first_seen, last_seen)"
                    " VALUES (:id, :member, :seen, :now)"
                ),
                [{"id": one.identifier, "member": member_id, "seen": one.seen, "now": NOW} for one in seen],
            )


def entries(one: One) -> Iterator[dict[str, object]]:
    """The entries of its log, without those about people."""

    def entry(type_: ActivityType, at: datetime, value: Status, previous: Status | None = None) -> dict[str, object]:
        return {"id": one.identifier, "type": int(type_), "at": at, "value": value, "previous": previous}

    first = one.first or one.severity
    yield entry(ActivityType.DETECTED, one.started, first)
    yield entry(ActivityType.CREATED, one.added, first)
    if one.changed and first is not one.severity:
        yield entry(ActivityType.STATUS_CHANGE, one.changed, one.severity, first)
    if one.away:
        yield entry(ActivityType.STATUS_CHANGE, one.away[0], Status.CLOSED, one.severity)
        yield entry(ActivityType.STATUS_CHANGE, one.away[1], one.severity, Status.CLOSED)
    if one.closed:
        yield entry(ActivityType.STATUS_CHANGE, one.closed, Status.CLOSED, one.severity)


def told(store: Store, filters: str, number: int = 0) -> tuple[DigestContent, DailyCounts, DigestRow]:
    """A page of a digest of Ada's with these filters."""
    digest_id = make_digest(store, "C0003", "0 9 * * *", NOW + timedelta(days=1))
    with store.read() as connection:
        connection.execute(
            text("UPDATE digest SET filters = :filters WHERE id = :id"),
            {"filters": str(parse_query(filters)), "id": digest_id},
        )
        organization_id = connection.execute(text("SELECT id FROM organization")).scalar_one()
        digest = queries.find_digest(connection, organization_id, digest_id)
        assert digest is not None
        return page_of(connection, digest, number)


def page_of(connection: Connection, digest: DigestRow, number: int) -> tuple[DigestContent, DailyCounts, DigestRow]:
    access: Access = content.get_owner_access(connection, digest)
    scope = content.resolve_digest_scope(connection, access, digest, NOW)
    page = content.load_content(connection, scope, digest, since=SINCE, as_of=NOW, number=number)
    return page, content.load_daily_counts(connection, scope, digest.zone, NOW), digest


@pytest.mark.parametrize(
    ("filters", "keeps"),
    [
        ("", lambda _: True),
        ("critical", lambda one: one.severity is Status.CRITICAL),
        ("project:checkout", lambda one: one.project == "checkout"),
        ("team:search,unassigned slow", lambda one: one.team != "Payments" and one.title.startswith("Slow")),
        ("until:7d", lambda one: one.started <= NOW - timedelta(days=7)),
    ],
)
def test_its_numbers_are_those_of_a_count_by_hand(store: Store, filters: str, keeps: object) -> None:
    assert callable(keeps)
    everything = [one for one in some(random.Random(7), 400) if one.added < NOW]
    write(store, everything)
    kept = [one for one in everything if keeps(one)]
    still_open = [one for one in kept if not one.closed]
    page, daily, _ = told(store, filters)
    assert page.counts.by_status == Counter(one.severity for one in still_open)
    assert page.counts.unseen == sum(not one.seen for one in still_open)
    assert page.counts.unseen_by_status.get(Status.CRITICAL, 0) == sum(
        one.severity is Status.CRITICAL and not one.seen for one in still_open
    )
    assert page.counts.oldest == min(one.started for one in still_open)

    opened = [one for one in kept if one.added > SINCE]
    resolved = [one for one in kept if one.closed and one.closed > SINCE]
    assert (page.news.opened, page.news.resolved) == (len(opened), len(resolved))
    latest = sorted(resolved, key=lambda one: one.closed or NOW, reverse=True)[:5]
    assert [one.identifier for one in page.news.latest_resolved] == [one.identifier for one in latest]
    assert_median(page.news.to_resolve, [one.closed - one.started for one in resolved if one.closed])
    assert_median(page.news.to_acknowledge, [one.seen - one.started for one in kept if one.seen and one.seen > SINCE])

    # Whatever severity they have now, those of the picture count with the one that they had then.
    wanted = {Status.CRITICAL} if filters == "critical" else set(SEVERITIES)
    among = everything if filters == "critical" else kept
    assert len(daily.days) == PICTURE_DAYS
    assert daily.days[-1] == NOW.date()
    assert daily.opened.keys() == wanted
    for severity in wanted:
        assert list(daily.opened[severity]) == [
            sum(one.added.date() == day and (one.first or one.severity) is severity for one in among)
            for day in daily.days
        ]
    ends = [datetime.combine(day + timedelta(days=1), time(), UTC) for day in daily.days[:-1]]
    assert list(daily.open_at_end) == [sum(one.was(end) in wanted for one in among) for end in [*ends, NOW]]


def assert_median(found: timedelta | None, spans: list[timedelta]) -> None:
    if not spans:
        assert found is None
        return
    assert found is not None
    assert found.total_seconds() == pytest.approx(median(span.total_seconds() for span in spans), abs=0.01)


def test_criticals_first_whatever_the_team_then_the_newest(store: Store) -> None:
    everything = some(random.Random(3), 200)
    write(store, everything)
    expected = [
        one.identifier
        for one in sorted(
            (one for one in everything if not one.closed),
            key=lambda one: (int(one.severity), one.started),
            reverse=True,
        )
    ]
    found = []
    first, _, digest = told(store, "")
    with store.read() as connection:
        for number in range(first.pages):
            page, _, _ = page_of(connection, digest, number)
            assert page.number == number
            found += [line.identifier for line in page.page.lines]
        assert page_of(connection, digest, 10**9)[0].number == first.pages - 1
    assert found == expected


def test_seen_no_is_what_nobody_has_seen(store: Store) -> None:
    everything = some(random.Random(5), 200)
    write(store, everything)
    page, _, _ = told(store, "seen:no")
    assert page.counts.total == page.counts.unseen == sum(not (one.closed or one.seen) for one in everything)


@pytest.mark.parametrize("filters", ["", "critical", "slow", "seen:no"])
def test_an_incident_of_several_projects_counts_once(store: Store, filters: str) -> None:
    write(store, [one for one in some(random.Random(9), 200) if one.added < NOW])
    page, daily, _ = told(store, filters)
    with store.write() as tx:
        tx.execute(
            text(
                "INSERT INTO incident_project (incident_id, project_id, started, status, team_id)"
                " SELECT ip.incident_id, p.id, ip.started, ip.status, ip.team_id"
                " FROM incident_project ip CROSS JOIN project p ON CONFLICT DO NOTHING"
            )
        )
    again, daily_again, _ = told(store, filters)
    assert page.counts.total >= len(page.page.lines) > 0
    assert (again.counts, again.news, daily_again) == (page.counts, page.news, daily)
    assert [line.identifier for line in again.page.lines] == [line.identifier for line in page.page.lines]


@contextmanager
def counted(connection: Connection) -> Iterator[list[str]]:
    """The statements that a connection runs in the block."""
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if not reads_the_time():
            statements.append(statement)

    event.listen(connection.engine, "before_cursor_execute", note)
    yield statements
    event.remove(connection.engine, "before_cursor_execute", note)


def test_five_thousand_open_ones_take_no_more_statements_and_stay_within_slacks_limits(store: Store) -> None:
    worst = "&" * 255
    everything = [
        One(n, worst, SEVERITIES[n % 3], "checkout", None, NOW - timedelta(minutes=n), NOW, None, None)
        for n in range(1, 5001)
    ]
    taken = []
    write(store, everything[:20])
    _, _, digest = told(store, "")
    for more in ([], everything[20:]):
        for first in range(0, len(more), 250):  # no connection is used for long, however slow the machine is
            write(store, more[first : first + 250])
        if more:
            with store.write() as tx:
                tx.execute(text("ANALYZE"))  # as autovacuum does by itself in a while
        with store.read() as connection, counted(connection) as statements:
            page_of(connection, digest, 0)
        taken.append(len(statements))
    assert taken[0] == taken[1] <= 6
    with store.write() as tx:
        tx.execute(text("UPDATE incident SET environment = repeat('<', 64)"))
        tx.execute(
            text(
                "INSERT INTO incident_activity (incident_id, member_id, type, comment, date_added)"
                " SELECT i.id, m.id, 3, repeat('&amp;', 1600), now() FROM incident i, member m WHERE m.role = 'owner'"
            )
        )
        # A long name of a team on each line.
        tx.execute(
            text(
                "INSERT INTO team (organization_id, slug, name)"
                " SELECT o.id, 't' || n, repeat('&', 80) || n FROM organization o, generate_series(1, 400) n"
            )
        )
        tx.execute(text("UPDATE incident i SET team_id = t.id FROM team t WHERE t.slug = 't' || (i.id % 400 + 1)"))
        tx.execute(text("ANALYZE"))  # as autovacuum does by itself in a while
    with store.read() as connection:
        pages = -(-5000 // PAGE_SIZE)
        for number in (0, 1, pages // 2, pages - 1):
            page, daily, _ = page_of(connection, digest, number)
            picture = Picture("F0123456789", messages.render_alt_text(daily))
            message = messages.render_digest(page, summarize(digest), fire_id=2**62, picture=picture)
            require_message(dict(message))
            assert f"Page {number + 1:,} of {pages:,}" in str(message["blocks"])


def test_the_days_of_the_picture_are_those_of_the_digests_zone(store: Store) -> None:
    # At 19:30 in London it is already the next day in Kolkata.
    late = datetime(2026, 11, 20, 19, 30, tzinfo=UTC)
    write(store, [One(1, "Late", Status.WARNING, "checkout", None, late, late, None, None)])
    _, daily, _ = told(store, "")
    with store.read() as connection:
        connection.execute(text("UPDATE digest SET zone = 'Asia/Kolkata'"))
        organization_id = connection.execute(text("SELECT id FROM organization")).scalar_one()
        digest_id = connection.execute(text("SELECT id FROM digest")).scalar_one()
        digest = queries.find_digest(connection, organization_id, digest_id)
        assert digest is not None
        _, there, _ = page_of(connection, digest, 0)
    for counts, day in ((daily, 20), (there, 21)):
        opened = dict(zip(counts.days, counts.opened[Status.WARNING], strict=True))
        assert {one.day for one, count in opened.items() if count} == {day}
        assert next(one.day for one, count in zip(counts.days, counts.open_at_end, strict=True) if count) == day
