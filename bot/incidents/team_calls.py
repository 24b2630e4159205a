"""The rules of a team that say who is called: reading them, and changing them where the organization file does not."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import Connection

from bot.incidents import audit, call_rules, projects
from bot.incidents.access import Access
from bot.incidents.call_rules import MAX_LENGTH, RULES, Reach, format_rules
from bot.incidents.errors import InvalidInput, Refusal
from storage.audit_rows import AuditAction, AuditChange
from storage.call_rows import TeamCalls
from storage.queries import digests
from storage.queries import team_calls as queries
from storage.values import Role

USAGE = "calls [team:x]"


def may_change(access: Access) -> bool:
    """Whether the caller may change the rules of teams."""
    return access.role in (Role.MANAGER, Role.OWNER)


def build_version(team: TeamCalls) -> str:
    """Short text that differs when the rules do."""
    return hashlib.sha256(format_rules(team.rules).encode()).hexdigest()[:16]


def list_team_calls(connection: Connection, access: Access, team: str | None) -> list[TeamCalls]:
    """The rules of the team of this slug or name, or else of the caller's teams.

    Without a team, somebody who is in none gets all teams that they see. Raises InvalidInput for a team that they do
    not see, and Refusal if they see none.
    """
    visible = projects.list_visible_teams(connection, access)
    if team is None:
        chosen = [one.id for one in visible if one.id in access.team_ids] or [one.id for one in visible]
    else:
        chosen = [one.id for one in visible if team.lower() in (one.slug.lower(), one.name.lower())]
        if not chosen:
            raise projects.unknown_name("team", team, [one.slug for one in visible], "calls team:{}")
    if not chosen:
        raise Refusal("You are in no team, and see the incidents of none.")
    return queries.list_team_calls(connection, access.organization_id, chosen)


def list_all_calls(connection: Connection, access: Access, *, skip: int, most: int) -> list[TeamCalls]:
    """The rules of all teams of the organization, for somebody who may change them. Raises Refusal."""
    _check_may_change(access)
    return queries.list_all_calls(connection, access.organization_id, skip=skip, most=most)


def get_team_calls(connection: Connection, access: Access, team_id: int) -> TeamCalls:
    """The rules of a team, for somebody who may change them. Raises Refusal."""
    _check_may_change(access)
    found = queries.list_team_calls(connection, access.organization_id, [team_id])
    if not found:
        raise _no_such_team()
    return found[0]


def change_rules(tx: Connection, access: Access, team_id: int, text: str, version: str, now: datetime) -> TeamCalls:
    """Replaces the rules of a team by those of a text with one in each line. Returns the team with its new rules.

    `version` is what `build_version` returned when the caller began to change them. Raises InvalidInput with the line
    that is wrong, and Refusal if the caller may not change them, or somebody else has meanwhile.
    """
    _check_may_change(access)
    team = queries.lock_team_calls(tx, access.organization_id, team_id)
    if team is None:
        raise _no_such_team()
    if team.in_file:
        raise Refusal("The organization file sets these calls now, so they can only be changed there.")
    if build_version(team) != version:
        raise Refusal(
            "Somebody changed these calls while you were editing them, so yours were not saved. Copy your text, close"
            " this form and press Edit again."
        )
    try:
        rules = call_rules.parse_rules(text)
        call_rules.check_rules(rules, _load_reach(tx, access, team))
    except ValueError as mistake:
        raise InvalidInput(str(mistake), field=RULES) from None
    if len(format_rules(list(rules.values()))) > MAX_LENGTH:
        raise InvalidInput(f"The rules of a team can have at most {MAX_LENGTH:,} characters.", field=RULES)
    queries.save_form_calls(tx, access.organization_id, team.id, list(rules.values()))
    changed = get_team_calls(tx, access, team.id)
    before, after = ({"calls": format_rules(one.rules)} for one in (team, changed))
    if before != after:
        audit.record(tx, access, AuditChange(AuditAction.TEAM_CHANGE, team.slug, before=before, after=after), now)
    return changed


def _load_reach(tx: Connection, access: Access, team: TeamCalls) -> Reach:
    people = queries.list_people(tx, access.organization_id, team.id)
    return Reach(
        has_oncall_usergroup=team.has_oncall_usergroup,
        is_synced=team.is_synced,
        everybody_sees=digests.has_open_membership(tx, access.organization_id),
        people={email for email, *_ in people},
        members=[email for email, _, _, is_in in people if is_in],
        managers=[email for email, role, *_ in people if role in (Role.MANAGER, Role.OWNER)],
        superusers={email for email, _, superuser, _ in people if superuser},
    )


def _check_may_change(access: Access) -> None:
    if not may_change(access):
        raise Refusal("Only managers and owners can change the calls of a team.")


def _no_such_team() -> Refusal:
    return Refusal("This team no longer exists.")
