"""Finds projects and teams by the slugs that people type, among those that the member may see."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.words import find_closest, shorten
from storage.queries import directory, environments
from storage.queries.directory import DirectoryEntry

_MOST_NAMED = 30


class ManyProjects(Refusal):
    """Several projects are possible, and the caller named none. The sentence lists them."""

    def __init__(self, slugs: Sequence[str]) -> None:
        listed = ", ".join(slugs[:_MOST_NAMED]) + ("…" if len(slugs) > _MOST_NAMED else "")
        super().__init__(f"Which project is it? Add one of these as `project:{slugs[0]}`: {listed}.")


def list_projects(connection: Connection, access: Access) -> list[DirectoryEntry]:
    """The projects that the caller sees, ordered by slug."""
    return directory.list_projects(connection, access.organization_id, access.project_ids)


def slug_of(connection: Connection, access: Access, project_id: int) -> str:
    """The slug of a project that the caller sees."""
    return directory.list_projects(connection, access.organization_id, [project_id])[0].slug


def list_teams(connection: Connection, access: Access) -> list[DirectoryEntry]:
    """The teams of the caller's organization, ordered by slug."""
    return directory.list_teams(connection, access.organization_id)


def list_visible_teams(connection: Connection, access: Access) -> list[DirectoryEntry]:
    """The caller's teams and those of the projects that the caller sees, ordered by slug."""
    return directory.list_teams_with(connection, access.organization_id, access.team_ids, access.project_ids)


def list_environments(connection: Connection, access: Access, part: str, *, most: int) -> list[str]:
    """At most `most` environments of recent incidents that the caller sees, whose name contains `part`."""
    return environments.list_environments(connection, access.organization_id, access.project_ids, part, limit=most)


def own_team_names(connection: Connection, access: Access) -> list[str]:
    """The names of the caller's own teams, in alphabetical order."""
    return directory.list_team_names_of_member(connection, access.organization_id, access.member_id)


def project_by_slug(
    connection: Connection, access: Access, slug: str, form: str, visible: Sequence[DirectoryEntry] | None = None
) -> DirectoryEntry:
    """The project with that slug, if the caller sees it. Raises InvalidInput, which suggests a slug or lists them.

    `form` is the correct usage, with `{}` for the slug. `visible` is the result of `list_projects`, if it was read
    already.
    """
    if visible is None:
        visible = list_projects(connection, access)
    for project in visible:
        if project.slug == slug.lower():
            return project
    raise unknown_name("project", slug, [project.slug for project in visible], form)


def team_by_slug(connection: Connection, access: Access, slug: str, form: str) -> DirectoryEntry:
    """The team of the caller's organization with that slug. Raises InvalidInput, which suggests a slug or lists them.

    `form` is the correct usage, with `{}` for the slug.
    """
    known = list_teams(connection, access)
    for team in known:
        if team.slug == slug.lower():
            return team
    raise unknown_name("team", slug, [team.slug for team in known], form)


def unknown_name(kind: str, slug: str, known: Sequence[str], form: str) -> InvalidInput:
    """Builds the error for a slug that is not in `known`. `kind` is "project" or "team", also the field of a form.

    `form` is the correct usage, with `{}` for the slug.
    """
    meant = find_closest(slug, known)
    hint = ""
    if not meant and known:
        hint = f" You can use {', '.join(known[:20])}{'…' if len(known) > 20 else ''}."
    right = form.format(meant or known[0]) if known else None
    return InvalidInput(
        f"There is no {kind} “{shorten(slug)}” that you can see.{hint}", right, field=kind, wrong=slug, meant=meant
    )


def choose_projects(
    connection: Connection, access: Access, *, slug: str | None, team_id: int | None, channel_id: str | None
) -> Sequence[int]:
    """Chooses the projects of a new incident. Returns their ids.

    With `slug`, it is that project. Without it, these are tried in order, among the projects that the caller sees:

    - the projects that name the channel;
    - the only project of the given team;
    - the only project of the caller's teams;
    - the only project that the caller sees.

    Raises ManyProjects if none of these applies, and InvalidInput for an unknown slug or a caller who sees no project.
    """
    if slug is not None:
        return [project_by_slug(connection, access, slug, "declare project:{} title").id]
    visible = access.project_ids
    if not visible:
        raise no_project()
    if channel_id:
        here = directory.filter_projects_by_channel(connection, access.organization_id, visible, channel_id)
        if here:
            return here
    for teams in ([team_id] if team_id else [], access.team_ids):
        of_teams = directory.filter_projects_by_teams(connection, access.organization_id, visible, teams)
        if len(of_teams) == 1:
            return of_teams
    if len(visible) == 1:
        return visible
    raise ManyProjects([project.slug for project in list_projects(connection, access)])


def no_project() -> InvalidInput:
    """Builds the error for a caller who wants to open an incident but sees no project."""
    return InvalidInput(
        "You cannot open an incident yet, because you have no project. Ask a manager to add you to a team."
    )
