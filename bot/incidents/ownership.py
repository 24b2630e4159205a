"""Who owns an incident: at most one member, who works on it. Others may have seen it; that is another thing.

Whoever takes an incident acknowledges and follows it. The owner of a resolved incident stays, so that one that is
reopened is theirs again. Every change writes its log entry. When nobody owns it any more, its calls go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bot.incidents import lookup
from bot.incidents.access import Access
from bot.incidents.errors import AlreadyClosed
from storage.queries import (
    acknowledging,
    activity,
    call_messages,
    calls,
    direct_messages,
    handoffs,
    owner_reminders,
    owners,
)
from storage.queries import subscriptions as followers
from storage.rows import IncidentHead, Owner
from storage.values import BY_HANDOFF, ActivityType, Status


@dataclass(frozen=True, slots=True)
class Ownership:
    """What came of taking or releasing an incident."""

    incident: IncidentHead
    before: Owner | None
    changed: bool  # False: nothing was done, and the owner is still `before`


def take(tx: Connection, access: Access, identifier: int, now: datetime, *, over: int | None = None) -> Ownership:
    """Makes the caller the owner, unless somebody else is: then nothing is changed.

    `over` is the id of the member from whom the caller takes the incident. Raises NotFound, AlreadyClosed.
    """
    incident, before = _lock(tx, access, identifier)
    if before is not None and before.member_id != over:
        return Ownership(incident, before, changed=False)
    _become_owner(tx, access, incident, before.member_id if before else None, now)
    return Ownership(incident, before, changed=True)


def take_unowned(tx: Connection, access: Access, incident_ids: Sequence[int], now: datetime) -> None:
    """Makes the caller the owner of open incidents that nobody owns. Their rows must be locked.

    They may be thousands, so this takes a few statements, and what others are notified of is expanded like the changes
    of alerts: after what people do one by one.
    """
    if not incident_ids:
        return
    followers.subscribe_to_all(tx, access.organization_id, incident_ids, access.member_id, now)
    first_seen = acknowledging.mark_all_seen(tx, access.organization_id, incident_ids, access.member_id, now)
    kind = ActivityType.ACKNOWLEDGED
    activity.insert_activities(
        tx, access.organization_id, first_seen, kind, now=now, member_id=access.member_id, notify=False
    )
    owners.set_owner_of_all(tx, access.organization_id, incident_ids, access.member_id, now)
    owner_reminders.schedule_reminders(tx, access.organization_id, incident_ids, now)
    activity.insert_activities(
        tx,
        access.organization_id,
        incident_ids,
        ActivityType.OWNER,
        now=now,
        member_id=access.member_id,
        owner_id=access.member_id,
    )


def hand_over(tx: Connection, access: Access, incident: IncidentHead, giver_id: int, now: datetime) -> None:
    """Makes the caller the owner of an incident that its owner has offered them. Its row must be locked."""
    _become_owner(tx, access, incident, giver_id, now, by_handoff=True)


def _become_owner(
    tx: Connection,
    access: Access,
    incident: IncidentHead,
    before: int | None,
    now: datetime,
    *,
    by_handoff: bool = False,
) -> None:
    followers.ensure_subscribed(tx, incident.organization_id, incident.id, [access.member_id], now)
    if acknowledging.mark_seen(tx, incident.organization_id, incident.id, access.member_id, now):
        kind = ActivityType.ACKNOWLEDGED
        activity.insert_activity(
            tx, incident.organization_id, incident.id, kind, now=now, member_id=access.member_id, notify=False
        )
    _change(
        tx,
        incident.organization_id,
        incident.id,
        before,
        access.member_id,
        now,
        by=access.member_id,
        by_handoff=by_handoff,
    )
    direct_messages.hurry_for_member(tx, incident.organization_id, incident.id, access.member_id, now)
    call_messages.hurry_for_member(tx, incident.organization_id, [incident.id], access.member_id, now)


def release(tx: Connection, access: Access, identifier: int, now: datetime) -> Ownership:
    """Leaves the incident without an owner, if the caller is the owner: otherwise nothing is changed.

    Raises NotFound, AlreadyClosed.
    """
    incident, before = _lock(tx, access, identifier)
    if before is None or before.member_id != access.member_id:
        return Ownership(incident, before, changed=False)
    _change(tx, incident.organization_id, incident.id, before.member_id, None, now, by=access.member_id)
    direct_messages.hurry_for_member(tx, incident.organization_id, incident.id, access.member_id, now)
    return Ownership(incident, before, changed=True)


def _lock(tx: Connection, access: Access, identifier: int) -> tuple[IncidentHead, Owner | None]:
    incident = lookup.get_incident(tx, access, identifier, lock=True)
    if incident.status is Status.CLOSED:
        advice = f"Reopen it first: `reopen {identifier}`."
        raise AlreadyClosed(identifier, incident.title, incident.date_closed, advice)
    return incident, owners.find_owner(tx, incident.organization_id, incident.id)


def release_lost(tx: Connection, organization_id: int, now: datetime) -> None:
    """Releases the open incidents of the organization whose owner has left it or may no longer see them."""
    for incident_id, owner_id in owners.lock_lost(tx, organization_id):
        _change(tx, organization_id, incident_id, owner_id, None, now, by=None)


def release_reopened(tx: Connection, organization_id: int, incident_id: int, now: datetime) -> None:
    """Releases an incident that was reopened, if its owner may no longer see it. Its row must be locked."""
    owner_id = owners.find_lost_owner(tx, organization_id, incident_id)
    if owner_id is not None:
        _change(tx, organization_id, incident_id, owner_id, None, now, by=None)


def _change(
    tx: Connection,
    organization_id: int,
    incident_id: int,
    before: int | None,
    after: int | None,
    now: datetime,
    *,
    by: int | None,
    by_handoff: bool = False,
) -> None:
    owners.set_owner(tx, organization_id, incident_id, after, now)
    handoffs.void_offers(tx, organization_id, incident_id, now)
    if after is None:
        calls.resume(tx, {(organization_id, incident_id): now})
    owner_reminders.schedule_reminders(tx, organization_id, [incident_id], now)
    activity.insert_activity(
        tx,
        organization_id,
        incident_id,
        ActivityType.OWNER,
        now=now,
        member_id=by,
        value=BY_HANDOFF if by_handoff else None,
        owner_id=after,
        previous_owner_id=before,
    )
