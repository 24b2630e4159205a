"""Opens incidents, changes their status, acknowledges and closes them. Every change writes its log entry.

People and alerts share the functions at the top; those below carry out the commands of a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from bot.incidents import calls, comments, lookup, ownership
from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from bot.incidents.errors import AlreadyClosed, InvalidInput, NotFound, StatusChanged
from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH, MAX_TITLE_LENGTH
from bot.incidents.plain_text import disable_formatting, has_visible
from storage.queries import acknowledging, activity, direct_messages, handoffs, incidents, owner_reminders
from storage.queries import calls as call_steps
from storage.queries import subscriptions as followers
from storage.rows import IncidentHead, NewIncident
from storage.values import ActivityType, Status, StatusMethod


def open_incidents(
    tx: Connection, organization_id: int, new: Sequence[NewIncident], now: datetime, member_id: int | None = None
) -> list[IncidentHead]:
    """Inserts incidents with the log entries DETECTED, dated at their start, and CREATED, and begins their calls.

    `member_id` is the member who declares them; None for an alert.
    """
    opened = incidents.insert_incidents(tx, organization_id, new, member_id=member_id, now=now)
    call_steps.begin_round(tx, organization_id, [incident.id for incident in opened], now)
    return opened


def open_incident(
    tx: Connection, organization_id: int, new: NewIncident, now: datetime, member_id: int | None = None
) -> IncidentHead:
    """Inserts one incident, as `open_incidents` does."""
    return open_incidents(tx, organization_id, [new], now, member_id)[0]


def change_status(
    tx: Connection,
    incident: IncidentHead,
    status: Status,
    method: StatusMethod,
    now: datetime,
    *,
    access: Access | None = None,
    comment: CommentText | None = None,
    closed_at: datetime | None = None,
) -> IncidentHead:
    """Sets the status and writes a STATUS_CHANGE log entry. Does nothing if the incident already has that status.

    The row of `incident` must be locked. `access` is the member who changes it, None for an alert. `closed_at` is when
    the incident closed, if that was before `now`; a time before the incident's start is replaced by its start. Returns
    the changed incident. Raises Refusal for an invalid comment.
    """
    if status is incident.status:
        return incident
    if access and comment:
        comments.check(tx, access, incident, comment)
    closed = max(closed_at or now, incident.date_started) if status is Status.CLOSED else None
    if incident.status is Status.CLOSED:
        incidents.detach_alert_if_taken(tx, incident.organization_id, incident.id)
    incidents.set_status(tx, incident, status, method, closed)
    written = comment or CommentText("")
    activity.insert_activity(
        tx,
        incident.organization_id,
        incident.id,
        ActivityType.STATUS_CHANGE,
        now=now,
        member_id=access.member_id if access else None,
        value=status,
        previous_value=incident.status,
        comment=comment.text if comment else None,
        rich_text=comment.rich_text if comment else None,
        mentioned_members=written.member_ids,
        mentioned_teams=written.team_ids,
    )
    if status is Status.CLOSED:
        handoffs.void_offers(tx, incident.organization_id, incident.id, now)
    calls.change_round(tx, incident.organization_id, incident.id, incident.status, status, now)
    if incident.status is Status.CLOSED:
        ownership.release_reopened(tx, incident.organization_id, incident.id, now)
        owner_reminders.schedule_reminders(tx, incident.organization_id, [incident.id], now)
    if access:
        comments.subscribe_concerned(tx, access, incident, written, now)
        direct_messages.hurry_for_member(tx, incident.organization_id, incident.id, access.member_id, now)
    before = incident.status if status is Status.CLOSED else None
    return replace(incident, status=status, status_before_closing=before, date_closed=closed)


# --- the commands of a person ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Declaration:
    """The values of an incident that a person declares."""

    title: str
    status: Status
    project_ids: Sequence[int]
    team_id: int | None = None
    environment: str | None = None


def check_title(title: str) -> str:
    """The title on one line, with single spaces between words. Raises InvalidInput if it is blank or too long."""
    folded = " ".join(title.split())
    if not folded:
        raise InvalidInput("An incident needs a title.", field="title")
    if not has_visible(folded):
        raise InvalidInput("A title needs at least one visible character.", field="title")
    if len(folded) > MAX_TITLE_LENGTH:
        raise InvalidInput(
            f"A title can have at most {MAX_TITLE_LENGTH} characters; this one has {len(folded):,}.", field="title"
        )
    return folded


def declare(tx: Connection, access: Access, declared: Declaration, now: datetime) -> IncidentHead:
    """Opens an incident. The caller is subscribed to it, and it is marked seen by them. Raises InvalidInput."""
    if declared.environment and len(declared.environment) > MAX_ENVIRONMENT_LENGTH:
        raise InvalidInput(f"An environment can have at most {MAX_ENVIRONMENT_LENGTH} characters.", field="env")
    incident = open_incident(
        tx,
        access.organization_id,
        NewIncident(
            project_ids=declared.project_ids,
            title=check_title(declared.title),
            status=declared.status,
            method=StatusMethod.MANUAL,
            team_id=declared.team_id,
            environment=declared.environment,
            date_started=now,
            date_detected=now,
        ),
        now,
        access.member_id,
    )
    followers.ensure_subscribed(tx, incident.organization_id, incident.id, [access.member_id], now)
    acknowledging.mark_seen(tx, incident.organization_id, incident.id, access.member_id, now)
    return incident


def acknowledge(
    tx: Connection, access: Access, identifier: int, now: datetime, *, shown: int | None = None
) -> tuple[IncidentHead, bool]:
    """Marks an incident seen by the caller. Returns it, and whether this was the first time.

    The first time is an entry of the log, which notifies nobody: only cards and messages that stand show it. Later ones
    refresh the time. `shown` is as in `lookup.get_incident`. It is one message to the database. Raises NotFound,
    StatusChanged.
    """
    found = None
    if lookup.can_exist(identifier):
        found = acknowledging.acknowledge(
            tx,
            access.organization_id,
            identifier,
            access.project_ids,
            member_id=access.member_id,
            shown=shown,
            now=now,
        )
    if found is None:
        raise NotFound(identifier)
    if found.state != shown:
        raise StatusChanged(identifier, found.incident.title)
    return found.incident, found.first


def resolve(
    tx: Connection, access: Access, identifier: int, now: datetime, comment: CommentText | None = None
) -> IncidentHead:
    """Closes an incident. Raises NotFound, AlreadyClosed, Refusal."""
    incident = lookup.get_incident(tx, access, identifier, lock=True)
    if incident.status is Status.CLOSED:
        raise AlreadyClosed(identifier, incident.title, incident.date_closed, "Nothing was changed.")
    return change_status(tx, incident, Status.CLOSED, StatusMethod.MANUAL, now, access=access, comment=comment)


def reopen(
    tx: Connection,
    access: Access,
    identifier: int,
    now: datetime,
    comment: CommentText | None = None,
    *,
    shown: int | None = None,
) -> IncidentHead:
    """Reopens a closed incident with the status that it had before.

    `shown` is as in `lookup.get_incident`. Raises NotFound, StatusChanged, InvalidInput, Refusal.
    """
    incident = lookup.get_incident(tx, access, identifier, lock=True, shown=shown)
    if incident.status is not Status.CLOSED:
        raise InvalidInput(
            f"#{identifier} {disable_formatting(incident.title)} is not resolved, so it cannot be reopened."
        )
    status = incident.status_before_closing or Status.OPEN
    return change_status(tx, incident, status, StatusMethod.MANUAL, now, access=access, comment=comment)


def set_severity(
    tx: Connection,
    access: Access,
    identifier: int,
    status: Status,
    now: datetime,
    comment: CommentText | None = None,
) -> tuple[IncidentHead, bool]:
    """Sets OPEN, WARNING or CRITICAL. Returns the incident, and whether its status changed.

    Raises NotFound, and AlreadyClosed on a closed incident.
    """
    incident = lookup.get_incident(tx, access, identifier, lock=True)
    if incident.status is Status.CLOSED:
        raise AlreadyClosed(
            identifier, incident.title, incident.date_closed, f"Reopen it first: `reopen {identifier}`."
        )
    changed = status is not incident.status
    incident = change_status(tx, incident, status, StatusMethod.MANUAL, now, access=access, comment=comment)
    return incident, changed
