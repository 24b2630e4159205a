"""Following what does not exist yet: a member is told of each new incident that matches, and follows it then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bot.incidents import projects
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.severities import SEVERITIES, find_severity
from bot.incidents.words import shorten, tokenize
from storage.member_rows import FollowedFilter
from storage.queries import followed_filters
from storage.values import Status

FORM = "subscribe [team:x] [project:x] [warning|critical]"
MOST = 20  # filters of one member
_NAMES = {severity: name for name, severity in SEVERITIES.items()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to follow, as typed."""

    team: str | None
    project: str | None
    severity: Status | None


def parse(line: str) -> Wanted:
    """Parses `[team:x] [project:x] [severity]`. Raises InvalidInput."""
    options: dict[str, str] = {}
    for token in tokenize(line):
        if token.key in ("team", "project"):
            key, value = token.key, token.text.strip().lower()
        elif token.key in (None, "severity") and find_severity(token.text) is not None:
            key, value = "severity", token.text
        else:
            typed = line[token.start : token.end]
            raise InvalidInput(f"“{shorten(typed)}” is no number of an incident, team, project or severity.", FORM)
        if not value:
            raise InvalidInput(f"`{key}:` needs a value.", FORM)
        if key in options:
            raise InvalidInput(f"Give one {key} at a time.", FORM)
        options[key] = value
    severity = find_severity(options["severity"]) if "severity" in options else None
    return Wanted(options.get("team"), options.get("project"), severity)


def render(followed: FollowedFilter | Wanted) -> str:
    """What is followed, as people type it: `team:payments critical`."""
    parts = [f"team:{followed.team}"] if followed.team else []
    parts += [f"project:{followed.project}"] if followed.project else []
    parts += [_NAMES[followed.severity]] if followed.severity else []
    return " ".join(parts)


def list_followed(connection: Connection, access: Access) -> Sequence[FollowedFilter]:
    """What the caller follows before it exists."""
    return followed_filters.list_filters(connection, access.organization_id, access.member_id)


def follow(tx: Connection, access: Access, wanted: Wanted, now: datetime) -> bool:
    """Has the caller follow new incidents that match. Returns False if they did before.

    Raises InvalidInput for an unknown team or project, and Refusal.
    """
    team = projects.team_by_slug(tx, access, wanted.team, "subscribe team:{}") if wanted.team else None
    project = projects.project_by_slug(tx, access, wanted.project, "subscribe project:{}") if wanted.project else None
    known = list_followed(tx, access)
    if len(known) >= MOST and not any(render(one) == render(wanted) for one in known):
        raise Refusal(f"You can follow at most {MOST} of these. `unsubscribe` shows them.")
    return followed_filters.insert_filter(
        tx,
        access.organization_id,
        access.member_id,
        team_id=team.id if team else None,
        project_id=project.id if project else None,
        severity=wanted.severity,
        now=now,
    )


def unfollow(tx: Connection, access: Access, wanted: Wanted) -> bool:
    """Has the caller no longer follow new incidents that match. Returns False if they did not."""
    found = [one for one in list_followed(tx, access) if render(one) == render(wanted)]
    return any(unfollow_by_id(tx, access, one.id) for one in found)


def unfollow_by_id(tx: Connection, access: Access, filter_id: int) -> bool:
    """The same by the id of what the caller follows."""
    return followed_filters.delete_filter(tx, access.organization_id, access.member_id, filter_id)
