"""Owners from whom nothing is heard: they are asked once, and after as long again the team is told.

The team of an incident says in the organization file how long that is (`remind_owner`). Whatever the owner does about
the incident starts it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection

from bot.incidents import lookup
from bot.incidents.access import Access
from bot.incidents.errors import AlreadyClosed, Refusal
from bot.incidents.plain_text import disable_formatting
from storage.member_rows import DueReminder, ReminderContent
from storage.queries import acknowledging, activity, destinations, direct_messages, outbox, owner_reminders, owners
from storage.rows import IncidentHead, Mentions
from storage.values import ActivityType, PostKind, Status, Urgency

MESSAGE_KEY = "reminder:"
MOST_TOGETHER = 10  # incidents in one message
_LONGEST_MINUTES = 2**15 - 1  # what the column of the log holds


def remind_due(tx: Connection, now: datetime, most: int) -> int:
    """Asks the owners who are due, and tells the teams of those who did not answer. Returns how many were due."""
    due = owner_reminders.lock_due(tx, now, most)
    asked: list[DueReminder] = []
    for one in due:
        if not one.open or one.owner_id is None or one.after_s is None:
            owner_reminders.delete_reminder(tx, one)
            continue
        if one.heard_now is None:
            continue
        wait = timedelta(seconds=one.after_s)
        if one.silenced:
            owner_reminders.set_reminder(tx, one, step=0, due_at=now + wait)
        elif one.heard_now + wait > now:  # something was heard since
            owner_reminders.set_reminder(tx, one, step=0, due_at=one.heard_now + wait)
        elif one.step == 0 or one.heard_at != one.heard_now:
            asked.append(one)
        else:
            if one.step == 1:
                _tell_team(tx, one, now)
            owner_reminders.set_reminder(tx, one, step=2, due_at=now + wait)
    _ask_owners(tx, asked, now)
    return len(due)


def _ask_owners(tx: Connection, asked: Sequence[DueReminder], now: datetime) -> None:
    """One message for each owner; several if there are more incidents than fit into one."""
    # Delivery locks several conversations in the order of their ids, and so does this.
    people = {(one.workspace_id, one.owner_id) for one in asked if one.workspace_id and one.owner_id}
    destinations.lock_destinations(tx, {}, people, now)
    for (workspace_id, owner_id), of_owner in groupby(
        sorted(asked, key=lambda one: (one.workspace_id or "", one.owner_id or 0, one.incident_id)),
        key=lambda one: (one.workspace_id, one.owner_id),
    ):
        ones = list(of_owner)
        for first in range(0, len(ones), MOST_TOGETHER):
            together = ones[first : first + MOST_TOGETHER]
            key = f"{MESSAGE_KEY}{owner_id}:{together[0].incident_id}:{now.isoformat()}"
            for one in together:
                due_at = now + timedelta(seconds=one.after_s or 0)
                owner_reminders.set_reminder(tx, one, step=1, due_at=due_at, post_key=key)
            if workspace_id is not None:
                outbox.enqueue(
                    tx,
                    workspace_id=workspace_id,
                    member_id=owner_id,
                    kind=PostKind.REMINDER,
                    key=key,
                    urgency=Urgency.URGENT,
                    now=now,
                )


def _tell_team(tx: Connection, due: DueReminder, now: datetime) -> None:
    assert due.heard_now is not None
    minutes = int((now - due.heard_now).total_seconds()) // 60
    activity.insert_activity(
        tx,
        due.organization_id,
        due.incident_id,
        ActivityType.UNHEARD,
        now=now,
        value=min(minutes, _LONGEST_MINUTES),
        owner_id=due.owner_id,
    )


def confirm(tx: Connection, access: Access, identifiers: Sequence[int], now: datetime) -> list[IncidentHead]:
    """Records that the caller is still on the incidents of theirs. Returns those. Raises NotFound, Refusal for one."""
    found = sorted((lookup.get_incident(tx, access, number) for number in identifiers), key=lambda one: one.id)
    mine = []
    for one in found:
        incident = lookup.get_incident(tx, access, one.identifier, lock=True)
        owner = owners.find_owner(tx, incident.organization_id, incident.id)
        if incident.status is Status.CLOSED or owner is None or owner.member_id != access.member_id:
            continue
        acknowledging.mark_seen(tx, incident.organization_id, incident.id, access.member_id, now)
        if outbox.record_change(tx, incident.organization_id, incident.id, now=now):
            direct_messages.hurry_for_member(tx, incident.organization_id, incident.id, access.member_id, now)
        mine.append(incident)
    if not mine and len(found) == 1:
        raise _explain(tx, found[0])
    return mine


def _explain(connection: Connection, incident: IncidentHead) -> Refusal:
    if incident.status is Status.CLOSED:
        return AlreadyClosed(incident.identifier, incident.title, incident.date_closed, "Nothing was changed.")
    name = f"#{incident.identifier} {disable_formatting(incident.title)}"
    owner = owners.find_owner(connection, incident.organization_id, incident.id)
    return Refusal(f"{owner.name if owner else 'Nobody'} owns {name} now. Nothing was changed.")


def get_content(
    connection: Connection, organization_id: int, post_key: str, owner_id: int, workspace_id: str
) -> tuple[Sequence[ReminderContent], Mentions]:
    """What a message to an owner shows: the incidents that they still own and see."""
    shown = owner_reminders.get_content(connection, organization_id, post_key, owner_id)
    words = [one.incident.last_comment for one in shown if one.incident.last_comment is not None]
    return shown, activity.get_mentions_of_entries(connection, words, workspace_id)
