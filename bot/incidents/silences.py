"""Silences: alerts that make no cards until a moment that is always given. Their incidents are recorded all the same.

Whoever sees an incident may silence its alert, and may end any silence of a project that they see. A silence holds only
incidents that its maker sees. Of several silences that match an incident, the one that ends last holds it. Where that
one is ended before its time, another one holds the incident in the same transaction.

A silence is in force, or has ended, as a whole. It may match a hundred thousand open incidents: who makes or ends it
has those of one batch held or released, and the worker goes on with the others. Each incident is released with its log
entry, its card and its calls in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.incidents import audit, lookup
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.limits import MAX_REASON_LENGTH
from bot.incidents.plain_text import disable_formatting
from bot.incidents.silence_times import find_end_of_day
from bot.incidents.words import shorten
from storage.audit_rows import AuditAction, AuditChange
from storage.queries import activity, calls, outbox
from storage.queries import silence_holding as holding
from storage.queries import silences as queries
from storage.rows import IncidentHead
from storage.silence_rows import (
    EndedSilence,
    Held,
    HeldBack,
    HeldIncident,
    NewSilence,
    OtherSilence,
    SilencedAlert,
    SilenceRow,
)
from storage.values import ActivityType, SilenceStep

USAGE = "silence N DURATION|until:… [reason]"
END_USAGE = "silence end ID"
_LARGEST_ID = 2**63 - 1  # what the column holds


class NoAlert(Refusal):
    """A person declared the incident, so there is no alert to silence."""

    def __init__(self, incident: IncidentHead) -> None:
        super().__init__(
            f"#{incident.identifier} {disable_formatting(incident.title)} has no alert to silence:"
            " it was declared by a person, or its alert has another incident now."
        )


class NoSuchSilence(Refusal):
    """There is no such silence, it has ended, or it is for a project that the caller does not see."""

    def __init__(self, silence_id: int) -> None:
        super().__init__(f"There is no silence {silence_id} that you can see. `silence list` shows those in force.")


def parse_id(word: str) -> int:
    """Parses the id of a silence. Raises InvalidInput."""
    digits = word.strip().removeprefix("#")
    if not (digits.isascii() and digits.isdigit()):
        mistake = f"“{shorten(word)}” is not the id of a silence." if word else "The id of the silence is missing."
        raise InvalidInput(f"{mistake} `silence list` shows the ids.", END_USAGE)
    return min(int(digits[:20]), _LARGEST_ID)


# --- making ------------------------------------------------------------------------------------------------


def get_alert(connection: Connection, access: Access, identifier: int) -> tuple[IncidentHead, SilencedAlert]:
    """The incident with that identifier, and what describes its alert. Raises NotFound, NoAlert."""
    incident = lookup.get_incident(connection, access, identifier)
    alert = queries.find_alert(connection, access.organization_id, identifier, access.project_ids)
    if alert is None:
        raise NoAlert(incident)
    return incident, alert


def silence_alert(
    tx: Connection,
    access: Access,
    identifier: int,
    ends: datetime,
    now: datetime,
    *,
    reason: str = "",
    labels: Sequence[str] = (),
) -> NewSilence:
    """Silences the alert of an incident until `ends`; with names of its labels, all alerts of its source and project
    that have the same values of these.

    Raises NotFound, NoAlert, InvalidInput.
    """
    check_reason(reason, USAGE)
    incident, alert = get_alert(tx, access, identifier)
    if unknown := [name for name in labels if name not in alert.labels]:
        raise InvalidInput(f"The alert no longer has the label “{shorten(unknown[0])}”.", field="labels")
    matchers: dict[str, Any] = {"source": alert.source}
    if labels:
        matchers["labels"] = {name: alert.labels[name] for name in labels}
    else:
        matchers["key"] = alert.key
    silence_id = queries.insert_silence(
        tx,
        organization_id=access.organization_id,
        workspace_id=access.workspace_id,
        project_id=alert.project_id,
        incident_id=incident.id,
        member_id=access.member_id,
        matchers=matchers,
        reason=reason or None,
        ends=ends,
        now=now,
    )
    record_new(tx, access, silence_id, now)
    held = hold_matching(tx, access.organization_id, silence_id, now)
    holder = queries.find_holder(tx, access.organization_id, incident.id)
    longer = holder if holder is not None and holder.id != silence_id else None
    return NewSilence(silence_id, incident, ends, held, longer)


def record_new(tx: Connection, access: Access, silence_id: int, now: datetime) -> None:
    """Records a new silence in the audit log."""
    silence = queries.lock_silence(tx, access.organization_id, silence_id)
    if silence is not None:
        change = AuditChange(AuditAction.SILENCE_ADD, str(silence_id), after=_describe(silence))
        audit.record(tx, access, change, now)


def _describe(silence: SilenceRow) -> Mapping[str, Any]:
    """The silence as the audit log has it."""
    matchers = {key: value for key, value in silence.matchers.items() if key != "team"}
    incident = f"#{silence.identifier} {silence.title}" if silence.identifier is not None else None
    values = {"incident": incident, "project": silence.project, "team": silence.team, **matchers}
    shown = {**values, "ends": silence.ends.isoformat(), "reason": silence.reason}
    return {key: value for key, value in shown.items() if value is not None}


def check_reason(reason: str, usage: str) -> None:
    """Raises InvalidInput, with the right usage, for a reason that is too long."""
    if len(reason) > MAX_REASON_LENGTH:
        raise InvalidInput(
            f"A reason can have at most {MAX_REASON_LENGTH} characters; this one has {len(reason):,}.",
            usage,
            field="reason",
        )


def hold_matching(tx: Connection, organization_id: int, silence_id: int, now: datetime, *, after: int = 0) -> Held:
    """Has a silence hold the open incidents that it matches, of a batch behind `after`. Their cards are redrawn.

    The worker goes on with what is left. Repeated from the beginning, it changes nothing but the cards.
    """
    compared = last = holding.hold_batch(tx, organization_id, silence_id, after, now)
    if len(last) < holding.BATCH:
        # What is being opened right now is not seen yet; what is opened later finds the silence.
        holding.lock_openings(tx, organization_id)
        last = holding.hold_batch(tx, organization_id, silence_id, after, now)
        compared = [*compared, *last]
    more = len(last) == holding.BATCH
    holding.set_hold_after(tx, organization_id, silence_id, last[-1].id if more else None)
    outbox.redraw_cards(tx, organization_id, {one.id for one in compared if one.new or one.before}, now)
    return Held(sum(one.new for one in compared), more)


def go_on_holding(tx: Connection, now: datetime) -> bool:
    """Compares a silence with the next open incidents. Returns False if no silence has any left."""
    found = holding.lock_unfinished_hold(tx)
    if found is not None:
        hold_matching(tx, found.organization_id, found.id, now, after=found.after)
    return found is not None


def hold_before_call(tx: Connection, organization_id: int, incident_ids: Collection[int], now: datetime) -> bool:
    """Has silences hold incidents that they have not been compared with yet. Returns whether that changed anything."""
    held = holding.hold_incidents(tx, organization_id, incident_ids, now)
    outbox.redraw_cards(tx, organization_id, held, now)
    return bool(held)


# --- listing and ending ------------------------------------------------------------------------------------


def list_silences(connection: Connection, access: Access, most: int, *, skip: int = 0) -> list[SilenceRow]:
    """At most `most` of the silences in force that the caller sees, the one that ends first before the others."""
    return queries.list_silences(connection, access.organization_id, access.project_ids, most, skip=skip)


def end_silence(tx: Connection, access: Access, silence_id: int, now: datetime) -> EndedSilence:
    """Ends a silence before its time. Raises NoSuchSilence."""
    silence = queries.find_silence(tx, access.organization_id, silence_id, access.project_ids)
    if silence is None:
        raise NoSuchSilence(silence_id)
    change = AuditChange(AuditAction.SILENCE_END, str(silence_id), before=_describe(silence))
    audit.record(tx, access, change, now)
    return _end(tx, silence, now, access)


def end_due_silence(tx: Connection, now: datetime) -> EndedSilence | None:
    """Ends a silence whose time has come; None if there is none but those that other replicas are ending."""
    silence = queries.lock_due_silence(tx, now)
    return None if silence is None else _end(tx, silence, now)


def end_blind_silence(tx: Connection, now: datetime) -> EndedSilence | None:
    """Ends a silence that holds nothing any more, because its maker no longer sees its project; None without any.

    What burns gets its card then.
    """
    silence = queries.lock_blind_silence(tx)
    return None if silence is None else _end(tx, silence, now)


def go_on_releasing(tx: Connection, now: datetime) -> EndedSilence | None:
    """Has a silence that ended release more of what it holds; None if none holds anything any more."""
    found = holding.lock_unfinished_end(tx)
    if found is None:
        return None
    silence = found.silence
    held = holding.lock_held(tx, silence, after=found.after)
    more = len(held) == holding.BATCH
    holding.set_release_after(tx, silence, held[-1].id if more else None)
    counted = _count(_release(tx, silence.organization_id, held, found.ended_by, now))
    total = found.released + counted
    if more:
        holding.add_released(tx, silence, counted)
    return EndedSilence(silence, total, total, _list_others(tx, silence, now, None, more=more), more, found.by)


def end_followed(tx: Connection, organization_id: int, silence_id: int, now: datetime) -> EndedSilence | None:
    """Ends a silence that has ended in Alertmanager; None if it has ended here already."""
    silence = queries.lock_silence(tx, organization_id, silence_id)
    return None if silence is None else _end(tx, silence, now)


def _end(tx: Connection, silence: SilenceRow, now: datetime, by: Access | None = None) -> EndedSilence:
    """Ends a silence, and releases a batch of the incidents that it holds. The worker releases the others.

    A transaction ends one silence: it locks incidents by their ids, before anything that is about them.
    """
    project_ids = by.project_ids if by else None
    member_id = by.member_id if by else None
    held = holding.lock_held(tx, silence, project_ids)
    more = len(held) == holding.BATCH
    holding.end_silence(tx, silence, member_id, now, release_after=held[-1].id if more else None)
    without_card = _release(tx, silence.organization_id, held, member_id, now)
    held_back = _count(without_card)
    if more:
        holding.add_released(tx, silence, held_back)
    seen = _count([one for one in without_card if one.seen])
    return EndedSilence(silence, held_back, seen, _list_others(tx, silence, now, project_ids, more=more), more)


def _list_others(
    tx: Connection, silence: SilenceRow, now: datetime, project_ids: Sequence[int] | None, *, more: bool
) -> Sequence[OtherSilence]:
    """The silences that still hold what an ended one held, once it has released all."""
    return () if more else holding.list_others(tx, silence, now, project_ids)


def _release(
    tx: Connection, organization_id: int, held: Sequence[HeldIncident], member_id: int | None, now: datetime
) -> list[HeldIncident]:
    """Has other silences hold what an ended one no longer holds. Returns what none does and has no card.

    The member ended it; None: its time has come.
    """
    still_open = [one.id for one in held if one.is_open]
    holding.hold_incidents(tx, organization_id, still_open, now, logs=False)
    still_held = queries.find_held(tx, organization_id, still_open)  # also by what an expansion has just found
    _log(tx, organization_id, [id_ for id_ in still_open if id_ not in still_held], SilenceStep.ENDED, member_id, now)
    if member_id is not None:  # the one that ends last held them, so they are silenced less long
        _log(tx, organization_id, sorted(still_held), SilenceStep.CHANGED, member_id, now)
    # Steps are locked before posts, as whoever makes calls does.
    calls.resume(tx, {(organization_id, one.id): now for one in held if one.is_open and one.id not in still_held})
    outbox.redraw_cards(tx, organization_id, still_open, now)
    return [one for one in held if not one.has_card and one.id not in still_held]


def _log(
    tx: Connection,
    organization_id: int,
    incident_ids: Sequence[int],
    step: SilenceStep,
    member_id: int | None,
    now: datetime,
) -> None:
    activity.insert_activities(
        tx,
        organization_id,
        incident_ids,
        ActivityType.SILENCE,
        now=now,
        member_id=member_id,
        value=step,
        notify=False,
    )


def _count(held: Sequence[HeldIncident]) -> HeldBack:
    return HeldBack(len(held), sum(1 for one in held if one.is_open))


def count_ending_today(connection: Connection, access: Access, now: datetime) -> int:
    """How many of the silences that the caller sees end before the caller's day does."""
    return queries.count_ending(
        connection, access.organization_id, access.project_ids, find_end_of_day(now, access.timezone)
    )
