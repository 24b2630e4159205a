"""What a query of `list` means for one caller at one moment.

Digests keep the words of a query and have them resolved here each time they fire.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import BadWords
from bot.incidents.filters import USAGE, ListQuery, moment
from bot.incidents.words import find_closest, shorten
from storage.queries import directory, listing
from storage.queries.access import Prefetch
from storage.queries.list_filter import ListFilter
from storage.values import NO_TEAM, Status

PAGE_SIZE = 10
_STATUSES = {"warning": Status.WARNING, "critical": Status.CRITICAL, "closed": Status.CLOSED}


def resolve_query(
    connection: Connection, access: Access, query: ListQuery, now: datetime, asked: Prefetch | None = None
) -> ListFilter:
    """What the query means for this caller now. Raises BadWords for an unknown team or project.

    A project that the caller cannot see is unknown to them. `asked` is what `ahead` gave for the query, answered.
    """
    teams, projects = directory.get_prefetched_names(asked) if asked is not None else (None, None)
    since = moment(query.since, "since", now, access.timezone) if query.since else None
    until = moment(query.until, "until", now, access.timezone) if query.until else None
    if since and until and since > until:
        raise BadWords(
            f"`since:{query.since}` is after `until:{query.until}`: nothing can be in between.", USAGE, field="since"
        )
    project_ids: Sequence[int] = access.project_ids
    if query.project is not None:
        project_ids = [project_by_slug(connection, access, query.project, projects).id]
    return ListFilter(
        project_ids=project_ids,
        organization_id=access.organization_id if access.sees_all and query.project is None else None,
        open=query.show == "open",
        status=_STATUSES.get(query.show),
        words=query.words,
        team_ids=_team_ids(connection, access, query.teams, teams) if query.teams else None,
        environment=query.environment,
        since=since,
        until=until,
        unseen_by=access.member_id if query.unseen else None,
        followed_by=access.member_id if query.following else None,
    )


def is_plain(query: ListQuery) -> bool:
    """Whether a query asks for no more than a status."""
    return query == ListQuery(show=query.show)


def prefetch(query: ListQuery) -> Prefetch | None:
    """What can be looked up together with who asks: the first page itself where the query is plain, else the names of
    teams and projects in its filters; None where it has none.
    """
    if is_plain(query):
        return listing.prefetch_newest(open=query.show == "open", status=_STATUSES.get(query.show), size=PAGE_SIZE)
    return directory.prefetch_names() if query.teams or query.project is not None else None


def project_by_slug(
    connection: Connection, access: Access, slug: str, visible: Sequence[directory.DirectoryEntry] | None = None
) -> directory.DirectoryEntry:
    """A project that the caller sees; `visible` are those, where they are known. Raises BadWords, naming them."""
    if visible is None:
        visible = directory.list_projects(connection, access.project_ids)
    for project in visible:
        if project.slug == slug.lower():
            return project
    raise BadWords(_unknown("project", slug, [project.slug for project in visible]), field="project")


def team_by_slug(connection: Connection, access: Access, slug: str) -> directory.DirectoryEntry:
    """A team of the caller's organization. Raises BadWords, naming those there are."""
    known = directory.list_teams(connection, access.organization_id)
    for team in known:
        if team.slug == slug.lower():
            return team
    raise BadWords(_unknown("team", slug, [team.slug for team in known]), field="team")


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
            raise BadWords(_unknown("team", slug, [*by_slug, "mine", "unassigned"]), field="team")
    return tuple(sorted(found))


def _unknown(kind: str, slug: str, known: Sequence[str]) -> str:
    meant = find_closest(slug, known)
    hint = f" Did you mean `{meant}`?" if meant else ""
    if not hint and known:
        hint = f" There are: {', '.join(known[:20])}{'…' if len(known) > 20 else ''}."
    return f"There is no {kind} “{shorten(slug)}” that you can see.{hint}"
