"""Somebody who is no member asks to be let in, and a manager or owner decides.

Guests, bots, deactivated users and people of other companies cannot ask: they cannot become members by a command
either. Who was removed may ask, and the managers read by what they were removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bot.incidents import audit
from bot.incidents.access import Access
from bot.incidents.errors import Refusal
from bot.incidents.markup import replace_unstorable
from bot.messages.joining import render_added, render_answer, render_decided
from bot.people import membership, notices
from bot.people.identity import NOT_MEMBER, FromOtherWorkspace, IncidentsOff, NotConnected, NotMember, Profile
from bot.people.membership import MAX_NAME_LENGTH, Newcomer
from bot.slack.requests import Person
from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.engine import Store
from storage.member_rows import JoinRequestRow, find_slack_id
from storage.queries import access as callers
from storage.queries import audit as audit_queries
from storage.queries import directory, members, outbox
from storage.queries import join_requests as queries
from storage.queries import organization_changes as changes
from storage.values import PostKind, Role, Urgency

MOST_MANAGERS = 50  # who are asked
ASK_AGAIN_AFTER = timedelta(hours=24)  # after a manager has declined


class NoSuchRequest(Refusal):
    """The request does not exist, or belongs to another organization."""

    def __init__(self) -> None:
        super().__init__("This request no longer exists. Nothing was changed.")


class RequestDecided(Refusal):
    """Another manager was faster."""

    def __init__(self, request: JoinRequestRow) -> None:
        super().__init__(f"{render_decided(request)} Nothing was changed.")


class AskedBefore(Refusal):
    """Somebody who is no member has asked to be let in, and cannot ask now."""

    def __init__(self, request: JoinRequestRow) -> None:
        outcome = "was declined" if request.date_decided else "waits for the managers to decide"
        super().__init__(f"{NOT_MEMBER} Your request to be let in {outcome}.")
        self.request = request


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of asking."""

    request: JoinRequestRow
    before: bool  # it was made before: it is open, or was declined not long ago


def explain_not_member(connection: Connection, person: Person, error: NotMember, now: datetime) -> Refusal:
    """The error for somebody who is no member: `error`, or AskedBefore if they cannot ask to be let in now."""
    before = error.may_ask and _find_standing(connection, error.organization_id, person, now)
    return AskedBefore(before) if before else error


def explain_refusal(store: Store, person: Person, error: Refusal, now: datetime) -> Refusal:
    """The same for any error, outside a request. Raises DatabaseAway."""
    if not isinstance(error, NotMember):
        return error
    with store.read() as connection:
        return explain_not_member(connection, person, error, now)


def get_next_chance(request: JoinRequestRow) -> datetime | None:
    """When somebody whose request was declined may ask again; None while it is open."""
    return request.date_decided and request.date_decided + ASK_AGAIN_AFTER


def _find_standing(
    connection: Connection, organization_id: int, person: Person, now: datetime
) -> JoinRequestRow | None:
    """The request of somebody that is open, or was declined not long ago."""
    latest = queries.find_latest(connection, organization_id, person.workspace_id, person.user_id)
    if latest is None or latest.admitted:
        return None
    again = get_next_chance(latest)
    return latest if again is None or now < again else None


def ask(tx: Connection, person: Person, profile: Profile, now: datetime) -> Asked:
    """Asks the managers and owners of the organization to let somebody in, once while it is open. Raises Refusal."""
    if not profile.at_home:
        raise FromOtherWorkspace
    if not profile.ordinary:
        raise Refusal("Bots, guests and deactivated users cannot become members.")
    standing = callers.find_caller(tx, person.workspace_id, person.user_id)
    if standing is None:
        raise NotConnected
    if not standing.incidents_on:
        raise IncidentsOff(standing.organization_name)
    organization_id = standing.organization_id
    before = _find_standing(tx, organization_id, person, now)
    if before is not None:
        return Asked(before, before=True)
    managers = callers.list_managers(tx, organization_id, MOST_MANAGERS)
    if not managers:
        raise Refusal("Your organization has no managers and owners who could let you in.")
    name = replace_unstorable(profile.name)[:MAX_NAME_LENGTH].strip() or person.user_id
    email = membership.choose_email(profile, person.workspace_id, person.user_id)
    former = members.find_by_slack_id_or_email(tx, organization_id, person.workspace_id, person.user_id, email)
    request_id = queries.insert_request(
        tx,
        organization_id,
        person.workspace_id,
        person.user_id,
        name=name,
        former_member_id=former.id if former and former.removed else None,
        now=now,
    )
    if request_id is None:
        open_request = queries.find_latest(tx, organization_id, person.workspace_id, person.user_id)
        assert open_request is not None
        return Asked(open_request, before=True)
    _ask_managers(tx, organization_id, person.workspace_id, request_id, managers, now)
    # Without the name, which could not be erased with them while they are no member.
    actor = Actor(AuditOrigin.SLACK, name=person.user_id, workspace_id=person.workspace_id)
    audit_queries.record(tx, organization_id, actor, [AuditChange(AuditAction.MEMBER_ASK)], now)
    return Asked(get_request(tx, organization_id, request_id), before=False)


def _ask_managers(
    tx: Connection,
    organization_id: int,
    workspace_id: str,
    request_id: int,
    managers: Sequence[int],
    now: datetime,
) -> None:
    posts = [
        outbox.enqueue(
            tx,
            workspace_id=workspace_id,
            member_id=member_id,
            kind=PostKind.JOIN_REQUEST,
            key=f"join request:{organization_id}:{request_id}:{member_id}",
            now=now,
            urgency=Urgency.NEWS,
        )
        for member_id in managers
    ]
    queries.link_posts(tx, organization_id, request_id, [post_id for post_id in posts if post_id is not None])


def get_request(connection: Connection, organization_id: int, request_id: int) -> JoinRequestRow:
    """A request of the organization. Raises NoSuchRequest."""
    found = queries.find_request(connection, organization_id, request_id)
    if found is None:
        raise NoSuchRequest
    return found


def get_open_request(connection: Connection, access: Access, request_id: int, *, lock: bool = False) -> JoinRequestRow:
    """A request that the caller may decide. Raises MayNotManageMembers, NoSuchRequest, RequestDecided."""
    membership.check_manages(access)
    found = queries.find_request(connection, access.organization_id, request_id, lock=lock)
    if found is None:
        raise NoSuchRequest
    if found.date_decided:
        raise RequestDecided(found)
    return found


def admit(
    tx: Connection,
    access: Access,
    request_id: int,
    newcomer: Newcomer,
    role: Role,
    teams: Sequence[str],
    command: str,
    now: datetime,
) -> None:
    """Makes who asked a member. `access` is in the workspace of the request. Raises Refusal."""
    # First, as `member add` does: it locks members, and then the request of who was added.
    changes.lock_members(tx)
    request = get_open_request(tx, access, request_id, lock=True)
    if request.user_id != newcomer.user_id or request.workspace_id != access.workspace_id:
        raise NoSuchRequest
    earlier = membership.find_earlier(tx, access, newcomer)
    if earlier is None or earlier.removed:
        member_id = membership.add(tx, access, newcomer, role, teams, now).member.id
    else:  # by the organization file, meanwhile
        membership.get_manager(tx, access)
        member_id = earlier.id
    welcome(tx, access, newcomer, member_id, command, now)


def welcome(tx: Connection, access: Access, newcomer: Newcomer, member_id: int, command: str, now: datetime) -> None:
    """Notifies somebody who is a member now, once, and ends the request that they have made."""
    open_requests = queries.list_open(tx, access.organization_id, access.workspace_id, newcomer.user_id)
    if not open_requests:
        message = render_added(access.organization_name, access.name, command)
        notices.notify_member(tx, access, member_id, message, "added", now)
    for request_id in open_requests:
        request = get_request(tx, access.organization_id, request_id)
        _decide(tx, access, request, command, now, admitted=True)


def decline(
    tx: Connection, access: Access, request_id: int, profile: Profile, command: str, now: datetime
) -> JoinRequestRow:
    """Declines a request, and notifies who asked. Raises Refusal.

    Who has become a member meanwhile, by the organization file, stays one: then the request is closed as by `admit`.
    """
    changes.lock_members(tx)
    request = get_open_request(tx, access, request_id, lock=True)
    membership.get_manager(tx, access)
    if _is_member(tx, request, profile):
        return _decide(tx, access, request, command, now, admitted=True)
    audit.record(tx, access, AuditChange(AuditAction.MEMBER_DECLINE, request.user_id), now)
    return _decide(tx, access, request, command, now, admitted=False)


def _is_member(tx: Connection, request: JoinRequestRow, profile: Profile) -> bool:
    """Whether who asked is a member now."""
    organization_id, workspace_id, user_id = request.organization_id, request.workspace_id, request.user_id
    if directory.find_member_by_slack_id(tx, organization_id, workspace_id, user_id):
        return True
    email = membership.choose_email(profile, workspace_id, user_id)
    found = members.find_by_slack_id_or_email(tx, organization_id, workspace_id, user_id, email)
    # Somebody else may have the same e-mail address.
    return found is not None and not found.removed and find_slack_id(found.slack, workspace_id) in (None, user_id)


def _decide(
    tx: Connection, access: Access, request: JoinRequestRow, command: str, now: datetime, *, admitted: bool
) -> JoinRequestRow:
    queries.decide(tx, access.organization_id, request.id, admitted=admitted, decided_by_id=access.member_id, now=now)
    decided = get_request(tx, access.organization_id, request.id)
    outbox.enqueue(
        tx,
        workspace_id=request.workspace_id,
        user_id=request.user_id,
        kind=PostKind.NOTE,
        key=f"join decided:{access.organization_id}:{request.id}",
        message=dict(render_answer(decided, access.organization_name, access.name, command)),
        now=now,
        urgency=Urgency.NEWS,
    )
    return decided
