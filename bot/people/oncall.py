"""Who is on call for a team: the people of its user group in Slack, as it was read last."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput
from bot.incidents.words import find_closest, shorten
from storage.call_rows import OnCall
from storage.queries import directory, oncall

# Slack's errors for a user group that was deleted or disabled.
NO_SUCH_USERGROUP = frozenset({"no_such_subteam", "subteam_not_found", "no_such_usergroup"})


def list_on_call(connection: Connection, access: Access, team: str | None) -> list[OnCall]:
    """Who is on call for the team of this slug or name, or else for the caller's teams.

    Without a team, somebody who is in none gets all teams that have a user group of who is on call. Raises
    InvalidInput for a team that does not exist, and where no team has such a user group.
    """
    teams = directory.list_teams(connection, access.organization_id)
    if team is not None:
        wanted = team.removeprefix("team:").strip().lower()
        chosen = [one.id for one in teams if wanted in (one.slug.lower(), one.name.lower())]
        if not chosen:
            near = find_closest(wanted, [one.slug for one in teams])
            hint = f" Did you mean {near}?" if near else ""
            raise InvalidInput(f"There is no team “{shorten(team)}”.{hint}")
    else:
        chosen = [one.id for one in teams if one.id in access.team_ids] or [one.id for one in teams]
    found = oncall.list_on_call(connection, access.organization_id, access.workspace_id, chosen)
    if team is None:
        found = [one for one in found if one.usergroup is not None]
    if not found:
        raise InvalidInput("No team of yours says who is on call. Name a team: `oncall payments`.")
    return found


def list_on_call_for_home(connection: Connection, access: Access) -> list[OnCall]:
    """Who is on call for those of the caller's teams that have a user group of who is on call."""
    found = oncall.list_on_call(connection, access.organization_id, access.workspace_id, sorted(access.team_ids))
    return [one for one in found if one.usergroup is not None]


def expire_usergroup(tx: Connection, workspace_id: str, usergroup_id: str) -> None:
    """Has a user group read from Slack again, because it has changed."""
    oncall.expire_usergroup(tx, workspace_id, usergroup_id)
