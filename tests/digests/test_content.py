"""What a digest says: its numbers against an independent count, its order, and Slack's limits with 5,000 open."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

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
from storage.digest_rows import DigestContent, DigestRow, OpenSeries
from storage.engine import Store
from storage.queries import digests as queries
from storage.values import Status
from tests.digests.test_exactly_once import make_digest
from tests.stories.conftest import ORGANIZATION, apply_file

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
SEVERITIES = (Status.OPEN, Status.WARNING, Status.CRITICAL)


@dataclass(frozen=True)
class One:
    """An incident as the test knows it."""

    identifier: int
    title: str
    severity: Status
    project: str
    team: str | None
    started: datetime
    added: datetime
    closed: datetime | None
    seen: datetime | None  # first, by anybody


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
        found.append(
            One(
                identifier,
                f"{chance.choice(['Slow', 'Broken', 'Full'])} {identifier}",
                chance.choice(SEVERITIES),
                chance.choice(["checkout", "catalogue"]),
                chance.choice(["Payments", "Search", None]),
                started,
                started + timedelta(minutes=min(3, (NOW - started) / timedelta(minutes=2))),
                closed if closed < NOW else None,
                seen if seen < min(closed, NOW) else None,
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
        seen = [one for one in incidents if one.seen]
        if seen:
            tx.execute(
                text(
                    "INSERT INTO incident_seen (incident_id, member_id, first_seen, last_seen)"
                    " VALUES (:id, :member, :seen, :now)"
                ),
                [{"id": one.identifier, "member": member_id, "seen": one.seen, "now": NOW} for one in seen],
            )


def told(store: Store, filters: str, number: int = 0) -> tuple[DigestContent, OpenSeries, DigestRow]:
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


def page_of(connection: Connection, digest: DigestRow, number: int) -> tuple[DigestContent, OpenSeries, DigestRow]:
    access: Access = content.get_owner_access(connection, digest)
    scope = content.resolve_digest_scope(connection, access, digest, NOW)
    page = content.load_content(connection, scope, digest, since=SINCE, as_of=NOW, number=number)
    return page, content.load_series(connection, scope, digest.zone, NOW), digest


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
    page, series, _ = told(store, filters)
    assert page.counts.by_status == Counter(one.severity for one in still_open)
    assert page.counts.by_team == Counter(one.team for one in still_open)
    assert page.counts.unseen == sum(not one.seen for one in still_open)
    assert page.counts.oldest == min(one.started for one in still_open)

    opened = [one for one in kept if one.added > SINCE]
    resolved = [one for one in kept if one.closed and one.closed > SINCE]
    assert (page.news.opened, page.news.resolved) == (len(opened), len(resolved))
    latest = sorted(resolved, key=lambda one: one.closed or NOW, reverse=True)[:5]
    assert [one.identifier for one in page.news.latest_resolved] == [one.identifier for one in latest]
    assert_median(page.news.to_resolve, [one.closed - one.started for one in resolved if one.closed])
    assert_median(page.news.to_acknowledge, [one.seen - one.started for one in kept if one.seen and one.seen > SINCE])
    assert len(series.moments) == PICTURE_DAYS
    for status in SEVERITIES:
        assert list(series.counts[status]) == [
            sum(
                one.severity is status and one.started <= moment and (one.closed is None or one.closed > moment)
                for one in kept
            )
            for moment in series.moments
        ]


def assert_median(found: timedelta | None, spans: list[timedelta]) -> None:
    if not spans:
        assert found is None
        return
    assert found is not None
    assert found.total_seconds() == pytest.approx(median(span.total_seconds() for span in spans), abs=0.01)


def test_teams_in_order_the_unacknowledged_first_then_the_oldest(store: Store) -> None:
    everything = some(random.Random(3), 200)
    write(store, everything)
    expected = [
        one.identifier
        for one in sorted(
            (one for one in everything if not one.closed),
            key=lambda one: (one.team is None, one.team or "", one.seen is not None, one.started),
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


@contextmanager
def counted(connection: Connection) -> Iterator[list[str]]:
    """The statements that a connection runs in the block."""
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
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
        if more:
            write(store, more)
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
        # A team of its own for each, which is a block more for each.
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
            page, series, _ = page_of(connection, digest, number)
            picture = Picture("F0123456789", messages.render_alt_text(series))
            message = messages.render_digest(page, summarize(digest), fire_id=2**62, picture=picture)
            require_message(dict(message))
            assert f"Page {number + 1:,} of {pages:,}" in str(message["blocks"])


def test_the_days_of_the_picture_are_those_of_the_digests_zone(store: Store) -> None:
    write(store, some(random.Random(1), 20))
    _, series, _ = told(store, "")
    with store.read() as connection:
        connection.execute(text("UPDATE digest SET zone = 'Asia/Kolkata'"))
        organization_id = connection.execute(text("SELECT id FROM organization")).scalar_one()
        digest_id = connection.execute(text("SELECT id FROM digest")).scalar_one()
        digest = queries.find_digest(connection, organization_id, digest_id)
        assert digest is not None
        _, there, _ = page_of(connection, digest, 0)
    assert {moment.astimezone(UTC).strftime("%H:%M") for moment in series.moments[:-1]} == {"00:00"}
    kolkata = ZoneInfo("Asia/Kolkata")
    assert {moment.astimezone(kolkata).strftime("%H:%M") for moment in there.moments[:-1]} == {"00:00"}
    assert series.moments[-1] == there.moments[-1] == NOW
