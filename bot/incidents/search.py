"""Finds the incidents of a `list` for one caller at one time.

Digests store the words of a query and resolve them here each time they fire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput
from bot.incidents.filters import ListQuery, moment
from bot.incidents.members import build_reference, find_member
from bot.incidents.projects import project_by_slug, unknown_name
from bot.incidents.severities import SEVERITIES
from storage.prefetch import Prefetch
from storage.queries import directory, incident_menu, listing
from storage.queries.list_filter import ListFilter
from storage.rows import Cursor, IncidentLine, IncidentPage
from storage.values import NO_TEAM, Status

PAGE_SIZE = 10
_OWNER_FORM = "list owner:{}"
# The status that a word of `SHOWS` asks for. "open" is not one: it lists open incidents of every severity.
_STATUSES = {**{word: SEVERITIES[word] for word in ("warning", "critical")}, "closed": Status.CLOSED}


def resolve_query(
    connection: Connection, access: Access, query: ListQuery, now: datetime, prefetched: Prefetch | None = None
) -> ListFilter:
    """Resolves a query for this caller at `now`. Raises InvalidInput for an unknown team, project or owner.

    A project that the caller cannot see counts as unknown. `prefetched` is the result of `prefetch` for the query,
    after it was run.
    """
    teams, projects = directory.get_prefetched_names(prefetched) if prefetched is not None else (None, None)
    since = moment(query.since, "since", now, access.timezone) if query.since else None
    until = moment(query.until, "until", now, access.timezone) if query.until else None
    if since and until and since > until:
        raise InvalidInput(
            f"`since:{query.since}` is after `until:{query.until}`. Swap them.",
            f"list since:{query.until} until:{query.since}",
            field="since",
        )
    project_ids: Sequence[int] = access.project_ids
    if query.project is not None:
        project_ids = [project_by_slug(connection, access, query.project, "list project:{}", projects).id]
    return ListFilter(
        organization_id=access.organization_id,
        project_ids=project_ids,
        of_all_projects=access.sees_all and query.project is None,
        open=query.show == "open",
        status=_STATUSES.get(query.show),
        words=query.words,
        team_ids=_team_ids(connection, access, query.teams, teams) if query.teams else None,
        environment=query.environment,
        since=since,
        until=until,
        unseen_by=access.member_id if query.unseen else None,
        followed_by=access.member_id if query.following else None,
        owned_by=_owner_id(connection, access, query.owner),
        storm=query.storm,
        unowned=query.owner == "none",
        silenced=query.silenced,
    )


def _owner_id(connection: Connection, access: Access, owner: str | None) -> int | None:
    if owner is None or owner == "none":
        return None
    return access.member_id if owner == "me" else find_member(connection, access, owner, _OWNER_FORM, field="owner").id


def name_owner(connection: Connection, access: Access, query: ListQuery) -> ListQuery:
    """The query with the owner by name, as people read it. Raises InvalidInput for nobody, or several."""
    if query.owner in (None, "me", "none"):
        return query
    member = find_member(connection, access, query.owner, _OWNER_FORM, field="owner")
    return replace(query, owner=build_reference(connection, access, member))


def name_owner_leniently(connection: Connection, access: Access, query: ListQuery) -> ListQuery:
    """The query with the owner by name; as it is if that is nobody now, or several."""
    try:
        return name_owner(connection, access, query)
    except InvalidInput:
        return query


def is_plain(query: ListQuery) -> bool:
    """Whether a query filters by status only."""
    return query == ListQuery(show=query.show)


def prefetch(query: ListQuery) -> Prefetch | None:
    """The read that can run together with finding the caller.

    It is the first page if the query filters by status only, the names of teams and projects if the filters need them,
    and None otherwise.
    """
    if is_plain(query):
        return listing.prefetch_newest(open=query.show == "open", status=_STATUSES.get(query.show), size=PAGE_SIZE)
    return directory.prefetch_names() if query.teams or query.project is not None else None


def list_incidents(
    connection: Connection,
    access: Access,
    query: ListQuery,
    now: datetime,
    *,
    cursor: Cursor | None = None,
    prefetched: Prefetch | None = None,
    size: int = PAGE_SIZE,
) -> IncidentPage:
    """A page of the incidents that a query finds for the caller, newest start first.

    `cursor` says where the page begins; None is the first page. `prefetched` is the result of `prefetch` for the query,
    after it was run. Raises InvalidInput for an unknown team or project.
    """
    if prefetched is not None and is_plain(query):
        return listing.get_prefetched_page(connection, access.organization_id, prefetched, size=size)
    list_filter = resolve_query(connection, access, query, now, prefetched)
    return find_page(connection, access, list_filter, cursor=cursor, size=size)


def find_page(
    connection: Connection, access: Access, list_filter: ListFilter, *, cursor: Cursor | None, size: int = PAGE_SIZE
) -> IncidentPage:
    """A page of the incidents that match a filter from `resolve_query`."""
    return listing.get_incident_page(connection, list_filter, access.member_id, cursor=cursor, size=size)


def of_own_teams(connection: Connection, access: Access, list_filter: ListFilter) -> ListFilter:
    """The filter, limited to the projects of the caller's teams; unchanged if the caller has no team."""
    if not access.team_ids:
        return list_filter
    mine = directory.filter_projects_by_teams(connection, access.organization_id, access.project_ids, access.team_ids)
    return replace(list_filter, project_ids=mine, of_all_projects=False)


def suggest_incidents(connection: Connection, access: Access, typed: str, *, most: int) -> list[IncidentLine]:
    """At most `most` incidents that the caller sees, and whose number or title matches what they have typed so far."""
    return incident_menu.list_incidents_like(connection, access.organization_id, access.project_ids, typed, limit=most)


def _team_ids(
    connection: Connection, access: Access, slugs: Sequence[str], known: Sequence[directory.DirectoryEntry] | None
) -> tuple[int, ...]:
    if known is None:
        known = directory.list_teams(connection, access.organization_id)
    by_slug = {team.slug: team.id for team in known}
    found: set[int] = set()
    for slug in slugs:
        if slug == "mine":
            found |= access.team_ids
        elif slug == "unassigned":
            found.add(NO_TEAM)
        elif slug in by_slug:
            found.add(by_slug[slug])
        else:
            raise unknown_name("team", slug, [*by_slug, "mine", "unassigned"], "list team:{}")
    return tuple(sorted(found))
