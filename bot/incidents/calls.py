"""Calls of people for an incident until somebody has it: when they begin, what stops them, and the answer "Not me".

The rules of a team say who is called for which severity, and when. A new incident, a rise of its severity and a
reopening begin a round of calls. Nothing has to be undone to stop one: each step checks when it is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bot.incidents import ownership
from bot.incidents.access import Access
from bot.incidents.errors import AlreadyClosed, NotFound, Refusal
from storage.call_rows import CalledIncident, CallOutcome, CallRecord
from storage.queries import activity, call_messages, calls
from storage.values import ActivityType, Status

# Incidents that one press of `Take all` takes: a request has a few seconds.
MOST_TAKEN = 100


class NotCalled(Refusal):
    """The message calls somebody else, or is too old."""

    def __init__(self) -> None:
        super().__init__("This message no longer calls you for anything. Nothing was changed.")


def change_round(
    tx: Connection, organization_id: int, incident_id: int, before: Status, after: Status, now: datetime
) -> None:
    """Makes the steps that a change of status begins. The row of the incident is locked."""
    if after is not Status.CLOSED:
        falls = before is not Status.CLOSED and after < before
        calls.begin_round(tx, organization_id, [incident_id], now, goes_on=falls)


def list_called(connection: Connection, access: Access, post_id: int) -> list[CalledIncident]:
    """The incidents for which a message calls the caller. Raises NotCalled if there are none that they may see."""
    found = call_messages.list_called_incidents(connection, access.organization_id, post_id, access.member_id)
    if not found:
        raise NotCalled
    return found


def decline(tx: Connection, access: Access, post_id: int, now: datetime) -> list[CalledIncident]:
    """Records that the caller answered "Not me" to a message. Returns the incidents that nobody has.

    Where a step called nobody else, or everybody else has declined, too, the next one comes at once. An answer that is
    given again, and one for what somebody has by now, changes nothing. Raises NotCalled.
    """
    called = {one.incident_id: one for one in list_called(tx, access, post_id)}
    keys = calls.decline(tx, access.organization_id, access.member_id, post_id, now)
    waiting = {id_: one for id_, one in called.items() if one.status is not Status.CLOSED and one.owner is None}
    declined = [key for key in keys if key.incident_id in waiting]
    hastened = calls.hasten_next(tx, calls.filter_declined(tx, declined), now) if declined else set()
    for incident_id in dict.fromkeys(key.incident_id for key in declined):
        team = called[incident_id].team
        record = CallRecord(CallOutcome.DECLINED, "", team, next_at_once=incident_id in hastened)
        activity.insert_activity(
            tx, access.organization_id, incident_id, ActivityType.CALL, now=now, member_id=access.member_id, call=record
        )
    call_messages.hurry_for_member(tx, access.organization_id, list(called), access.member_id, now)
    return list(waiting.values())


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking everything that a message calls for."""

    taken: int
    others: dict[str, int]  # how many others own, by name
    over: int  # resolved by now
    left: int  # not taken, because there are too many for one press
    silenced: int  # not taken, because a silence holds them


def take_all(tx: Connection, access: Access, post_id: int, now: datetime) -> Taken:
    """Makes the caller the owner of what a message calls them for, nobody owns and no silence holds.

    Raises NotCalled.
    """
    taken = over = silenced = 0
    others: dict[str, int] = {}
    unowned: list[CalledIncident] = []
    for one in list_called(tx, access, post_id):
        if one.status is Status.CLOSED:
            over += 1
        elif one.owner is not None:
            if not one.owned_by_reader:
                others[one.owner] = others.get(one.owner, 0) + 1
        elif one.silenced:
            silenced += 1
        else:
            unowned.append(one)
    chosen = sorted(unowned, key=lambda one: (-int(one.status), one.incident_id))[:MOST_TAKEN]
    for one in sorted(chosen, key=lambda one: one.incident_id):  # as everybody does who locks several
        try:
            result = ownership.take(tx, access, one.identifier, now)
        except (NotFound, AlreadyClosed):
            over += 1
            continue
        if result.changed:
            taken += 1
        elif result.before is not None:
            others[result.before.name] = others.get(result.before.name, 0) + 1
    left = len(unowned) - len(chosen)
    return Taken(taken, others, over, left, silenced)
