"""Loads the content of a digest: the incidents that its owner may see now. `bot.messages` renders it."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.digests.shared_results import SharedResults
from bot.incidents import filters, search
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput
from bot.incidents.filters import ListQuery
from bot.incidents.silence_times import find_end_of_day
from storage.digest_rows import DailyCounts, DigestContent, DigestRow, Missed, OpenCounts
from storage.queries import digest_contents, silences
from storage.queries import digests as queries
from storage.queries.digest_contents import Scope
from storage.queries.digests import Owner
from storage.values import Role

PAGE_SIZE = 10  # incidents, as many as on a page of `list`
NEWS_NAMED = 5  # at most so many opened incidents are named, and as many resolved ones
# The period that the news of the first digest covers. Later digests cover the time since the previous one.
FIRST_NEWS_PERIOD = timedelta(days=1)
PICTURE_DAYS = 14


class AccessLost(Exception):
    """The owner of a digest may no longer show its content. `reason` is a sentence for people.

    `owner_left`: the owner has left and cannot be notified.
    """

    def __init__(self, reason: str, *, owner_left: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.owner_left = owner_left


class IncidentsSwitchedOff(Exception):
    """The organization has switched incidents off. Nothing is shown; this is not an error."""


def get_owner_access(connection: Connection, digest: DigestRow) -> Access:
    """Returns the access that the digest's owner has now. Raises AccessLost, IncidentsSwitchedOff."""
    return build_owner_access(queries.find_owner(connection, digest), digest)


def build_owner_access(owner: Owner | None, digest: DigestRow) -> Access:
    """The access of the owner of a digest, None if the digest is gone. Raises AccessLost, IncidentsSwitchedOff."""
    if owner is None:
        raise AccessLost("The digest was removed.")
    if not owner.present:
        raise AccessLost(f"Its owner {owner.name} is no longer a member of {owner.organization_name}.", owner_left=True)
    if not owner.same_person:
        raise AccessLost(f"The Slack account of its owner {owner.name} no longer belongs to a member.", owner_left=True)
    if not owner.incidents_on:
        raise IncidentsSwitchedOff
    if not owner.project_ids:
        raise AccessLost(f"Its owner {owner.name} no longer sees any project.")
    return Access(
        organization_id=owner.organization_id,
        organization_name=owner.organization_name,
        workspace_id=digest.workspace_id,
        member_id=owner.member_id,
        name=owner.name,
        email=owner.email,
        role=Role(owner.role),
        superuser=owner.superuser,
        team_ids=frozenset(owner.team_ids),
        loaded_project_ids=tuple(owner.project_ids),
        sees_all=owner.sees_all,
        shared_channels=owner.shared_channels,
        timezone=digest.zone,  # for dates in the filters
    )


def resolve_scope(connection: Connection, access: Access, query: ListQuery, now: datetime) -> Scope:
    """Returns the incidents that filters select. Raises InvalidInput for an unknown project or team."""
    found = search.resolve_query(connection, access, query, now)
    return Scope(
        organization_id=access.organization_id,
        project_ids=tuple(found.project_ids),
        status=found.status,
        words=found.words,
        team_ids=found.team_ids,
        environment=found.environment,
        until=found.until,
        unseen=query.unseen,
        owned_by=found.owned_by,
        unowned=found.unowned,
    )


def resolve_digest_scope(connection: Connection, access: Access, digest: DigestRow, now: datetime) -> Scope:
    """Returns the incidents that a digest covers. Raises AccessLost if its owner may no longer use its filters."""
    try:
        return resolve_scope(connection, access, filters.parse_query(digest.filters), now)
    except InvalidInput as mistake:
        raise AccessLost(f"Its owner {digest.owner} can no longer use its filters. {mistake.sentence}") from None


def load_content(
    connection: Connection,
    scope: Scope,
    digest: DigestRow,
    *,
    since: datetime,
    as_of: datetime,
    number: int = 0,
    missed: Missed | None = None,
    shared: SharedResults | None = None,
) -> DigestContent:
    """Loads page `number` of the digest, counted from 0. A number past the end returns the last page.

    `since` is when the period of the news begins; `as_of` is the time that the message shows. `missed` are the digests
    that did not arrive before this one. Digests that show the same share what was just loaded through `shared`.
    """
    shared = shared or SharedResults()
    end_of_day = find_end_of_day(as_of, digest.zone)
    counts = count_open(connection, scope, shared)
    pages = max(1, -(-counts.total // PAGE_SIZE))
    number = min(max(0, number), pages - 1)
    page = shared.get(
        ("page", scope, digest.workspace_id, number),
        lambda: digest_contents.get_open_page(
            connection, scope, digest.workspace_id, skip=number * PAGE_SIZE, size=PAGE_SIZE
        ),
    )
    news = shared.get(
        ("news", scope, since), lambda: digest_contents.get_news(connection, scope, since, named=NEWS_NAMED)
    )
    ending = shared.get(
        ("silences", scope.organization_id, scope.project_ids, end_of_day),
        lambda: silences.count_ending(connection, scope.organization_id, scope.project_ids, end_of_day),
    )
    return DigestContent(digest, counts, page, number, pages, news, as_of, digest.next_fire_at, missed, ending)


def count_open(connection: Connection, scope: Scope, shared: SharedResults) -> OpenCounts:
    """Counts the open incidents of a digest."""
    return shared.get(("counts", scope), lambda: digest_contents.count_open(connection, scope))


def load_daily_counts(
    connection: Connection, scope: Scope, zone: str, now: datetime, shared: SharedResults | None = None
) -> DailyCounts:
    """Counts the incidents of the last PICTURE_DAYS days in `zone` (IANA name). Today is the last of them."""
    where = ZoneInfo(zone)
    today = now.astimezone(where).date()
    days = [today - timedelta(days=back) for back in reversed(range(PICTURE_DAYS))]
    begins = [datetime.combine(day, datetime.min.time(), where) for day in days]
    return (shared or SharedResults()).get(
        ("days", scope, *begins), lambda: digest_contents.count_by_day(connection, scope, days, [*begins, now])
    )
