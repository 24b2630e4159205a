"""What a digest says: what its owner may see at this moment, counted and put in order. Drawn in `bot.messages`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.incidents import filters, search
from bot.incidents.access import Access
from bot.incidents.errors import BadWords
from bot.incidents.filters import ListQuery
from storage.digest_rows import DigestContent, DigestRow, OpenSeries
from storage.queries import digest_contents
from storage.queries import digests as queries
from storage.queries.digest_contents import Scope
from storage.values import Role

PAGE_SIZE = 15  # incidents; each may need a block for its team besides its own, and a message has 50
NEWS_NAMED = 5  # of what was opened and resolved
# What the first digest tells as news, when there is none before it that it could begin from.
FIRST_NEWS_PERIOD = timedelta(days=1)
PICTURE_DAYS = 14


class AccessLost(Exception):
    """A digest whose owner may no longer show what it tells. `reason` is a sentence for people.

    `owner_left` says that the owner is not there to be told.
    """

    def __init__(self, reason: str, *, owner_left: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.owner_left = owner_left


class IncidentsSwitchedOff(Exception):
    """The organization has switched incidents off: nothing is shown, and nothing is wrong."""


def get_owner_access(connection: Connection, digest: DigestRow) -> Access:
    """What the digest's owner may see now. Raises Lost, SwitchedOff."""
    owner = queries.find_owner(connection, digest.id)
    if owner is None:
        raise AccessLost("The digest has been removed.")
    if not owner.present:
        raise AccessLost(
            f"{owner.name}, who owns it, is no longer a member of {owner.organization_name}.", owner_left=True
        )
    if not owner.same_person:
        raise AccessLost(
            f"The Slack account of {owner.name}, who owns it, is no longer that of a member.", owner_left=True
        )
    if not owner.incidents_on:
        raise IncidentsSwitchedOff
    if not owner.project_ids:
        raise AccessLost(f"{owner.name}, who owns it, sees no project any more.")
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
        visible=tuple(owner.project_ids),
        sees_all=owner.sees_all,
        shared_channels=owner.shared_channels,
        timezone=digest.zone,  # of dates in the filters
    )


def resolve_scope(connection: Connection, access: Access, query: ListQuery, now: datetime) -> Scope:
    """Which incidents the filters of a digest mean. Raises BadWords for a project or team that is not there."""
    found = search.resolve_query(connection, access, query, now)
    return Scope(
        organization_id=access.organization_id,
        project_ids=found.project_ids,
        status=found.status,
        words=found.words,
        team_ids=found.team_ids,
        environment=found.environment,
        until=found.until,
        unseen=query.unseen,
    )


def resolve_digest_scope(connection: Connection, access: Access, digest: DigestRow, now: datetime) -> Scope:
    """Which incidents the digest tells of. Raises Lost where its owner may no longer name what it filters by."""
    try:
        return resolve_scope(connection, access, filters.parse_query(digest.filters), now)
    except BadWords as mistake:
        raise AccessLost(
            f"Its filters no longer fit what {digest.owner}, who owns it, may see. {mistake.sentence}"
        ) from None


def load_content(
    connection: Connection, scope: Scope, digest: DigestRow, *, since: datetime, as_of: datetime, number: int = 0
) -> DigestContent:
    """A page of the digest, from 0; one behind the last is the last."""
    counts = digest_contents.count_open(connection, scope)
    pages = max(1, -(-counts.total // PAGE_SIZE))
    number = min(max(0, number), pages - 1)
    page = digest_contents.get_open_page(
        connection, scope, digest.workspace_id, skip=number * PAGE_SIZE, size=PAGE_SIZE
    )
    news = digest_contents.get_news(connection, scope, since, named=NEWS_NAMED)
    return DigestContent(digest, counts, page, number, pages, news, as_of, digest.next_fire_at)


def load_series(connection: Connection, scope: Scope, zone: str, now: datetime) -> OpenSeries:
    """How many were open at the end of each of the last days in the digest's zone, and now."""
    return digest_contents.count_open_at(connection, scope, _series_moments(ZoneInfo(zone), now))


def _series_moments(zone: ZoneInfo, now: datetime) -> Sequence[datetime]:
    today = now.astimezone(zone).date()
    days = (today - timedelta(days=back) for back in reversed(range(PICTURE_DAYS - 1)))
    return [*(datetime.combine(day, datetime.min.time(), zone) for day in days), now]
