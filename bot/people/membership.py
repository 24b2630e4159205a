"""Who belongs to the organization, changed by its managers and owners in Slack.

Nobody gives or takes a role above their own, and the last owner stays. What is changed here stays until the
organization file names the same person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from bot.incidents import audit, ownership
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.markup import replace_unstorable
from bot.incidents.words import find_closest, shorten
from bot.messages import members as messages
from bot.people import notices
from bot.people.identity import Profile
from bot.people.slack_changes import is_as_in_file
from storage.audit_rows import AuditAction
from storage.member_rows import NO_EMAIL_DOMAIN, MemberDetails, RemovedInSlack, find_slack_id
from storage.queries import digests, directory, homes, members, slack_ids
from storage.queries import organization_changes as changes
from storage.queries.directory import DirectoryEntry
from storage.values import Role

PAGE_SIZE = 10
REMOVED_SHOWN = 5  # of those who were removed in Slack
MAX_NAME_LENGTH = 200
_RANKS = {role: rank for rank, role in enumerate(Role)}
_MANAGE_MEMBERS = frozenset({Role.MANAGER, Role.OWNER})


class Action(StrEnum):
    """What is done about a member."""

    ADD = "add"
    ROLE = "role"
    TEAMS = "teams"
    REMOVE = "remove"


FORMS = {
    Action.ADD: "member add @person [role] [team:a,b]",
    Action.ROLE: "member role @person ROLE",
    Action.TEAMS: "member teams @person team:a,b",
    Action.REMOVE: "member remove @person",
}


class MayNotManageMembers(Refusal):
    """The caller's role does not allow managing members."""

    def __init__(self) -> None:
        super().__init__("Only managers and owners of the organization can see and change its members.")


class RoleAboveOwn(Refusal):
    """The role to be given or taken is above the caller's own."""

    def __init__(self, role: Role, own: Role) -> None:
        super().__init__(f"You cannot give or take the role {role.value}, because it is above your own, {own.value}.")


class LastOwner(Refusal):
    """The organization would have no owner."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{shorten(name)} is the only owner of the organization. Make somebody else an owner first.")


class MemberChanged(InvalidInput):
    """Somebody else has changed what the caller is changing, since it was shown to them."""

    def __init__(self, name: str, what: str, now: str) -> None:
        super().__init__(
            f"Somebody changed the {what} of {shorten(name)} while you were editing: {now}. Nothing was changed. Start"
            " again to change that.",
            field=what,
        )


class MemberGone(Refusal):
    """The member was removed meanwhile, or is none of this organization."""

    def __init__(self) -> None:
        super().__init__("This person is not a member of your organization any more. Nothing was changed.")


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A Slack user who is to be added."""

    user_id: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a member."""

    member: MemberDetails  # as they are now
    nothing: bool = False  # they had been like that already
    again: bool = False  # they had been a member before


def manages(access: Access) -> bool:
    """Whether the caller may see and change who belongs to the organization."""
    return access.role in _MANAGE_MEMBERS


def check_manages(access: Access) -> None:
    """Raises MayNotManageMembers."""
    if not manages(access):
        raise MayNotManageMembers


def parse_role(typed: str, form: str) -> Role:
    """The role of this name. Raises InvalidInput with `form`, the correct usage."""
    word = typed.strip().lower()
    if word in list(Role):
        return Role(word)
    sentence = f"“{shorten(typed)}” is not a role. Use `member`, `admin`, `manager` or `owner`."
    meant = find_closest(word, list(Role), likeness=0.7)  # “none” is not meant to be `owner`
    raise InvalidInput(sentence, form, field="role", wrong=typed, meant=meant)


def list_teams(connection: Connection, access: Access) -> list[DirectoryEntry]:
    """The teams whose members can be changed here: not those whose members are read from a user group."""
    synced = members.list_synced_teams(connection, access.organization_id)
    return [one for one in directory.list_teams(connection, access.organization_id) if one.slug not in synced]


def list_slugs(connection: Connection, access: Access) -> list[str]:
    """The slugs of all teams."""
    return [one.slug for one in directory.list_teams(connection, access.organization_id)]


def does_everybody_see(connection: Connection, access: Access) -> bool:
    """Whether all members see the incidents of all projects, whatever their teams."""
    return digests.has_open_membership(connection, access.organization_id)


def check_teams(connection: Connection, access: Access, slugs: Sequence[str], form: str) -> None:
    """Raises InvalidInput for a team that does not exist, or whose members are read from a user group."""
    synced = members.list_synced_teams(connection, access.organization_id)
    known = list_slugs(connection, access)
    for slug in slugs:
        if slug not in known:
            near = find_closest(slug, known)
            hint = f" Did you mean {near}?" if near else ""
            raise InvalidInput(f"There is no team “{shorten(slug)}”.{hint}", form, field="teams")
        if slug in synced:
            raise InvalidInput(
                f"The members of the team “{shorten(slug)}” are the people of its user group. Change them in Slack.",
                form,
                field="teams",
            )


def list_members(
    connection: Connection, access: Access, words: Sequence[str], page: int, *, size: int = PAGE_SIZE
) -> tuple[list[MemberDetails], int]:
    """A page of the members whom all words find, and how many they are. Raises MayNotManageMembers."""
    check_manages(access)
    return members.list_page(connection, access.organization_id, words, page=page, size=size)


def find_removed(connection: Connection, access: Access, words: Sequence[str] = ()) -> RemovedInSlack:
    """Those whom all words find and who were removed in Slack: the organization file may bring them back."""
    check_manages(access)
    latest, count = members.list_removed_in_slack(connection, access.organization_id, words, most=REMOVED_SHOWN)
    return RemovedInSlack(latest, count)


def get_member(connection: Connection, access: Access, member_id: int) -> MemberDetails:
    """A member of the caller's organization. Raises MayNotManageMembers, MemberGone."""
    check_manages(access)
    found = members.find_member(connection, access.organization_id, member_id)
    if found is None or found.removed:
        raise MemberGone
    return found


def get_manager(connection: Connection, access: Access) -> MemberDetails:
    """The caller, read again: somebody may have changed their role meanwhile. Raises MayNotManageMembers."""
    caller = members.find_member(connection, access.organization_id, access.member_id)
    if caller is None or caller.removed or caller.role not in _MANAGE_MEMBERS:
        raise MayNotManageMembers
    return caller


def check_may_change(
    connection: Connection, access: Access, action: Action, member: MemberDetails | None, role: Role | None
) -> None:
    """Raises a Refusal if the caller may not do that with a member, or give the role.

    `member` is None for somebody who never was one. The caller's role is read again: somebody may have changed it.
    """
    caller = get_manager(connection, access)
    there = member is not None and not member.removed
    taken = member.role if member is not None and there and action in (Action.ROLE, Action.REMOVE) else None
    for one in (taken, role):
        if one is not None and _RANKS[one] > _RANKS[caller.role]:
            if action is Action.REMOVE:
                raise Refusal("Only an owner can remove an owner.")
            raise RoleAboveOwn(one, caller.role)
    if member is None:
        return
    if action is Action.ADD and there:
        raise InvalidInput(
            f"{shorten(member.name)} is a member already. Change the role or the teams instead.", FORMS[Action.ROLE]
        )
    if taken is Role.OWNER and role is not Role.OWNER and members.count_owners(connection, access.organization_id) == 1:
        raise LastOwner(member.name)
    if action is Action.REMOVE and member.id == caller.id:
        raise Refusal("You cannot remove yourself. Ask another manager or owner.")


def find_earlier(connection: Connection, access: Access, newcomer: Newcomer) -> MemberDetails | None:
    """The member that somebody who is to be added is already, or was before. Raises Refusal."""
    profile = newcomer.profile
    if not profile.at_home or not profile.ordinary:
        raise InvalidInput(
            f"{shorten(profile.name or newcomer.user_id)} cannot become a member. Bots, guests, deactivated users and"
            " people of other workspaces cannot.",
            FORMS[Action.ADD],
        )
    known = directory.find_member_by_slack_id(connection, access.organization_id, access.workspace_id, newcomer.user_id)
    if known is not None:
        return members.find_member(connection, access.organization_id, known.id)
    email = choose_email(profile, access.workspace_id, newcomer.user_id)
    found = members.find_by_slack_id_or_email(
        connection, access.organization_id, access.workspace_id, newcomer.user_id, email
    )
    if found and not found.removed and find_slack_id(found.slack, access.workspace_id) not in (None, newcomer.user_id):
        raise Refusal(f"Another member has the e-mail address of {shorten(profile.name)}: {shorten(found.name)}.")
    return found


def add(tx: Connection, access: Access, newcomer: Newcomer, role: Role, teams: Sequence[str], now: datetime) -> Changed:
    """Adds somebody, or adds them again. Raises Refusal."""
    changes.lock_members(tx)
    earlier = find_earlier(tx, access, newcomer)
    check_may_change(tx, access, Action.ADD, earlier, role)
    check_teams(tx, access, teams, FORMS[Action.ADD])
    email = newcomer.profile.email
    values = {
        "name": replace_unstorable(newcomer.profile.name)[:MAX_NAME_LENGTH].strip() or newcomer.user_id,
        "role": role.value,
        # The e-mail identifies them, if it is confirmed and theirs here, too.
        "slack_user_id": None if email and (earlier is None or earlier.email == email.lower()) else newcomer.user_id,
    }
    if earlier is None:
        address = choose_email(newcomer.profile, access.workspace_id, newcomer.user_id)
        member_id = members.insert_member(tx, access.organization_id, {"email": address, **values})
    else:
        member_id = earlier.id
        members.update_member(tx, access.organization_id, member_id, {**values, "date_removed": None})
        slack_ids.delete_ids(tx, access.organization_id, member_id)
    members.set_teams(tx, access.organization_id, member_id, teams)
    return _finish(tx, access, member_id, now, earlier, again=earlier is not None)


def build_version(member: MemberDetails, action: Action) -> str:
    """Short text that differs when the member's role or teams do, whichever of them is to be changed."""
    if action is Action.TEAMS:
        return hashlib.sha256(",".join(sorted(member.teams)).encode()).hexdigest()[:16]
    return member.role.value if action is Action.ROLE else ""


def set_role(tx: Connection, access: Access, member_id: int, role: Role, seen: str, now: datetime) -> Changed:
    """Gives a member a role. `seen` is what `build_version` returned when the caller saw the old one.

    Raises Refusal.
    """
    changes.lock_members(tx)
    member = get_member(tx, access, member_id)
    check_may_change(tx, access, Action.ROLE, member, role)
    if member.role is role:
        return Changed(member, nothing=True)
    if seen and seen != build_version(member, Action.ROLE):
        raise MemberChanged(member.name, "role", f"it is {member.role.value} now")
    members.update_member(tx, access.organization_id, member_id, {"role": role.value})
    message = messages.render_your_role(role, access.name, access.organization_name)
    notices.notify_member(tx, access, member_id, message, "role", now)
    return _finish(tx, access, member_id, now, member)


def set_teams(
    tx: Connection, access: Access, member_id: int, teams: Sequence[str], seen: str, now: datetime
) -> Changed:
    """Makes these the teams of a member. `seen` is as in `set_role`. Raises Refusal."""
    changes.lock_members(tx)
    member = get_member(tx, access, member_id)
    check_may_change(tx, access, Action.TEAMS, member, None)
    check_teams(tx, access, teams, FORMS[Action.TEAMS])
    synced = members.list_synced_teams(tx, access.organization_id)
    if set(member.teams) - synced == set(teams):
        return Changed(member, nothing=True)
    if seen and seen != build_version(member, Action.TEAMS):
        named = shorten(", ".join(member.teams.values()), 200) or "none"
        raise MemberChanged(member.name, "teams", f"they are {named} now")
    members.update_member(tx, access.organization_id, member_id, {})
    members.set_teams(tx, access.organization_id, member_id, teams)
    moved = _finish(tx, access, member_id, now, member)
    message = messages.render_your_teams(moved.member, access.name, access.organization_name)
    notices.notify_member(tx, access, member_id, message, "teams", now)
    return moved


def remove(tx: Connection, access: Access, member_id: int, now: datetime) -> Changed:
    """Removes a member. What they wrote stays. Raises Refusal."""
    changes.lock_members(tx)
    member = get_member(tx, access, member_id)
    check_may_change(tx, access, Action.REMOVE, member, None)
    members.update_member(tx, access.organization_id, member_id, {})
    message = messages.render_you_were_removed(access.name, access.organization_name)
    notices.notify_leaving(tx, access, member_id, message, now)
    changes.mark_members_removed(tx, access.organization_id, [member_id], now)
    return _finish(tx, access, member_id, now, member)


def choose_email(profile: Profile, workspace_id: str, user_id: str) -> str:
    """The e-mail by which somebody is stored who is added: their own, or one that nobody has."""
    return (profile.email.strip() if profile.email else f"{user_id}.{workspace_id}@{NO_EMAIL_DOMAIN}").lower()


def _finish(
    tx: Connection, access: Access, member_id: int, now: datetime, before: MemberDetails | None, *, again: bool = False
) -> Changed:
    changes.expire_identities(tx, access.organization_id)
    homes.mark_due(tx, access.organization_id, now, [member_id], newcomers=before is None or before.removed)
    ownership.release_lost(tx, access.organization_id, now)
    member = members.find_member(tx, access.organization_id, member_id)
    assert member is not None
    actions = (AuditAction.MEMBER_ADD, AuditAction.MEMBER_CHANGE, AuditAction.MEMBER_REMOVE)
    change = audit.build_change(actions, _describe(before), _describe(member), subject_member_id=member_id)
    audit.record(tx, access, change, now)
    if member.changed_in_slack and not member.removed and is_as_in_file(tx, access, member):
        members.settle_member(tx, access.organization_id, member_id)
    return Changed(member, again=again)


def _describe(member: MemberDetails | None) -> Mapping[str, Any] | None:
    """The member as the audit log has them; None for somebody who is no member."""
    if member is None or member.removed:
        return None
    values = {"name": member.name, "email": member.email, "slack": member.slack}
    return {**values, "role": member.role.value, "teams": sorted(member.teams)}
