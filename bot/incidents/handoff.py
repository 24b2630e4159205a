"""Handing incidents off: an owner offers them to somebody who can see them, and the owner changes when they accept.

An incident has at most one open offer. It ends when it is answered or withdrawn, when it lapses, and when the incident
is resolved or changes its owner. Every step but the last writes a log entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bot.incidents import comments, lookup, ownership
from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from bot.incidents.errors import AlreadyClosed, InvalidInput, NotFound, Refusal
from bot.incidents.plain_text import disable_formatting
from storage.member_rows import HandoffContent, HandoffHead, OfferState
from storage.queries import access as access_queries
from storage.queries import activity, directory, handoffs, outbox, owners
from storage.rows import IncidentHead
from storage.values import ActivityType, HandoffStep, PostKind, Status, Urgency

LIFETIME = timedelta(hours=24)
MAX_OFFERED = 100  # incidents in one offer
MESSAGE_KEY = "handoff:"  # of the message to the receiver, with the ids of the organization and the offer
ANSWER_KEY = "handoff_answer:"  # of a message to the giver, with these ids and when the answer was given
USAGE = "handoff N @person [note]"


class NoSuchOffer(Refusal):
    """There is no such offer, or the caller has nothing to do with it."""

    def __init__(self) -> None:
        super().__init__("There is no such offer for you. Nothing was changed.")


@dataclass(frozen=True, slots=True)
class Offered:
    """What came of offering incidents to somebody."""

    handoff_id: int
    receiver: str  # name
    incidents: Sequence[IncidentHead]  # what was offered
    blind: Sequence[IncidentHead]  # what the receiver cannot see
    already: Sequence[IncidentHead]  # what was offered to the same person before
    withdrawn: Sequence[str]  # names of those to whom some of them were offered before
    more: bool  # the caller owns more than fit into one offer


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of answering or withdrawing an offer."""

    head: HandoffHead
    incidents: Sequence[IncidentHead]  # those for which it made a difference


def offer(
    tx: Connection,
    access: Access,
    identifier: int | None,
    receiver_id: int,
    note: CommentText | None,
    now: datetime,
) -> Offered:
    """Offers an incident of the caller's, or all of them (`identifier` None), to the receiver.

    An earlier offer of the same incident to somebody else is withdrawn. Raises NotFound, AlreadyClosed, Refusal.
    """
    if receiver_id == access.member_id:
        raise InvalidInput("You cannot hand off incidents to yourself. Name somebody else.", USAGE, field="person")
    receiver = directory.get_member_names(tx, access.organization_id, [receiver_id])[receiver_id]
    if identifier is not None:
        mine, more = _lock_one(tx, access, identifier), False
    else:
        mine, more = _lock_all(tx, access)
    choice = _choose_offered(tx, access, mine, receiver_id, receiver)
    for one in choice.offered:
        if note is not None:
            comments.check(tx, access, one, note)
        if (earlier := choice.before[one.id]) is not None:
            _end(tx, earlier, one.id, OfferState.WITHDRAWN, now, by=access.member_id)
    handoff_id = _insert_offer(tx, access, receiver_id, choice.offered, note, now, shift=identifier is None)
    for one in choice.offered:
        _log_offer(tx, access, one, receiver_id, note, now)
    withdrawn = sorted({found.receiver for one in choice.offered if (found := choice.before[one.id]) is not None})
    return Offered(handoff_id, receiver, choice.offered, choice.blind, choice.already, withdrawn, more)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which of the caller's incidents are offered."""

    offered: Sequence[IncidentHead]
    blind: Sequence[IncidentHead]  # what the receiver cannot see
    already: Sequence[IncidentHead]  # what was offered to the same person before
    before: Mapping[int, HandoffHead | None]  # by id, the open offer of each incident that the receiver sees


def _choose_offered(
    tx: Connection, access: Access, mine: Sequence[IncidentHead], receiver_id: int, receiver: str
) -> _Choice:
    """Chooses what the receiver sees and is not offered yet. Raises Refusal if that is none of these incidents."""
    seen = {
        one.id
        for one in mine
        if access_queries.filter_members_who_see(tx, access.organization_id, one.id, {receiver_id})
    }
    if not seen:
        what = _name(mine[0]) if len(mine) == 1 else f"any of the {len(mine)} incidents that you own"
        raise InvalidInput(f"{receiver} cannot see {what}. Nothing was changed.", USAGE, field="person")
    before = {one.id: handoffs.find_open_handoff(tx, access.organization_id, one.id) for one in mine if one.id in seen}
    already = [one for one in mine if (found := before.get(one.id)) and found.receiver_id == receiver_id]
    offered = [one for one in mine if one.id in seen and one not in already]
    if not offered:
        what = _name(already[0]) if len(already) == 1 else f"these {len(already)} incidents"
        raise Refusal(f"You already offered {what} to {receiver}, who has not answered yet. Nothing was changed.")
    return _Choice(offered, [one for one in mine if one.id not in seen], already, before)


def _insert_offer(
    tx: Connection,
    access: Access,
    receiver_id: int,
    incidents: Sequence[IncidentHead],
    note: CommentText | None,
    now: datetime,
    *,
    shift: bool,
) -> int:
    """Inserts the offer and the message to the receiver. Returns the id of the offer."""
    handoff_id = handoffs.insert_handoff(
        tx,
        access.organization_id,
        access.workspace_id,
        giver_id=access.member_id,
        receiver_id=receiver_id,
        incident_ids=[one.id for one in incidents],
        note=note.text if note else None,
        shift=shift,
        now=now,
        expires_at=now + LIFETIME,
    )
    post_id = outbox.enqueue(
        tx,
        workspace_id=access.workspace_id,
        member_id=receiver_id,
        kind=PostKind.HANDOFF,
        key=f"{MESSAGE_KEY}{access.organization_id}:{handoff_id}",
        urgency=Urgency.URGENT,
        now=now,
    )
    handoffs.link_post(tx, access.organization_id, handoff_id, post_id)
    return handoff_id


def _log_offer(
    tx: Connection, access: Access, incident: IncidentHead, receiver_id: int, note: CommentText | None, now: datetime
) -> None:
    activity.insert_activity(
        tx,
        incident.organization_id,
        incident.id,
        ActivityType.HANDOFF,
        now=now,
        member_id=access.member_id,
        value=HandoffStep.OFFERED,
        comment=note.text if note else None,
        owner_id=receiver_id,
        previous_owner_id=access.member_id,
        mentioned_members=note.member_ids if note else (),
        mentioned_teams=note.team_ids if note else (),
    )
    if note is not None:
        comments.subscribe_concerned(tx, access, incident, note, now)


def get_own(connection: Connection, access: Access, identifier: int) -> IncidentHead:
    """An open incident of the caller's, to hand it off. Raises NotFound, AlreadyClosed, Refusal."""
    incident = lookup.get_incident(connection, access, identifier)
    _check_own(connection, access, incident)
    return incident


def count_own(connection: Connection, access: Access) -> int:
    """How many open incidents the caller owns, at most MAX_OFFERED. Raises Refusal if there are none."""
    found = handoffs.list_owned(connection, access.organization_id, access.member_id, MAX_OFFERED)
    if not found:
        raise _owns_none()
    return len(found)


def _owns_none() -> Refusal:
    return Refusal("You own no open incidents, so nothing was handed off. `take N` makes you the owner of one.")


def _lock_one(tx: Connection, access: Access, identifier: int) -> list[IncidentHead]:
    incident = lookup.get_incident(tx, access, identifier, lock=True)
    _check_own(tx, access, incident)
    return [incident]


def _check_own(connection: Connection, access: Access, incident: IncidentHead) -> None:
    if incident.status is Status.CLOSED:
        raise AlreadyClosed(incident.identifier, incident.title, incident.date_closed, "Nothing was changed.")
    owner = owners.find_owner(connection, incident.organization_id, incident.id)
    if owner is None:
        raise Refusal(
            f"Nobody owns {_name(incident)}, so you cannot hand it off. Take it first: `take {incident.identifier}`."
        )
    if owner.member_id != access.member_id:
        raise Refusal(f"{owner.name} owns {_name(incident)}, and only the owner can hand it off. Nothing was changed.")


def _lock_all(tx: Connection, access: Access) -> tuple[list[IncidentHead], bool]:
    """The newest incidents that the caller owns, and whether there are more."""
    owned = handoffs.list_owned(tx, access.organization_id, access.member_id, MAX_OFFERED + 1)
    mine = []
    for _, identifier in sorted(owned[:MAX_OFFERED]):  # by their ids, as everybody does who locks several
        try:
            one = lookup.get_incident(tx, access, identifier, lock=True)
        except NotFound:
            continue
        owner = owners.find_owner(tx, one.organization_id, one.id)
        if one.status is not Status.CLOSED and owner is not None and owner.member_id == access.member_id:
            mine.append(one)
    if not mine:
        raise _owns_none()
    return mine, len(owned) > MAX_OFFERED


def _name(incident: IncidentHead) -> str:
    return f"#{incident.identifier} {disable_formatting(incident.title)}"


# --- answers -------------------------------------------------------------------------------------------------


def accept(tx: Connection, access: Access, handoff_id: int, identifier: int | None, now: datetime) -> Answered:
    """Makes the caller the owner of what they are offered: one incident, or all (`identifier` None).

    What is no longer offered stays as it is. Raises NoSuchOffer.
    """
    head, offered = _lock_offered(tx, access, handoff_id, identifier, now)
    incidents = [
        one
        for one in offered
        if handoffs.end_offer(tx, head.organization_id, head.id, one.id, OfferState.ACCEPTED, now)
    ]
    _tell_giver(tx, head, incidents, now)
    for one in incidents:
        ownership.hand_over(tx, access, one, head.giver_id, now)
    return Answered(head, incidents)


def decline(tx: Connection, access: Access, handoff_id: int, identifier: int | None, now: datetime) -> Answered:
    """Declines what the caller is offered: one incident, or all (`identifier` None). Raises NoSuchOffer."""
    head, offered = _lock_offered(tx, access, handoff_id, identifier, now)
    incidents = [one for one in offered if _end(tx, head, one.id, OfferState.DECLINED, now, by=access.member_id)]
    _tell_giver(tx, head, incidents, now)
    return Answered(head, incidents)


def withdraw(tx: Connection, access: Access, handoff_id: int, now: datetime) -> Answered:
    """Withdraws what is left of an offer of the caller's. Raises NoSuchOffer."""
    head = handoffs.find_handoff(tx, access.organization_id, handoff_id)
    if head is None or head.giver_id != access.member_id:
        raise NoSuchOffer
    offered = _lock(tx, access, head, None)
    incidents = [one for one in offered if _end(tx, head, one.id, OfferState.WITHDRAWN, now, by=access.member_id)]
    return Answered(head, incidents)


def get_offer(connection: Connection, access: Access, handoff_id: int) -> HandoffHead:
    """An offer that was made to the caller. Raises NoSuchOffer."""
    head = handoffs.find_handoff(connection, access.organization_id, handoff_id)
    if head is None or head.receiver_id != access.member_id:
        raise NoSuchOffer
    return head


def get_offer_of(connection: Connection, access: Access, identifier: int) -> HandoffHead:
    """The open offer of an incident of the caller's. Raises NotFound, AlreadyClosed, Refusal."""
    incident = get_own(connection, access, identifier)
    head = handoffs.find_open_handoff(connection, access.organization_id, incident.id)
    if head is None:
        raise Refusal(f"Nobody is offered {_name(incident)}. Nothing was changed.")
    return head


def get_content(connection: Connection, head: HandoffHead, *, also_open: int) -> HandoffContent:
    """What the message to the receiver shows. After a shift, also up to `also_open` incidents that nobody owns."""
    return handoffs.get_content(connection, head, head.receiver_id, also_open=also_open if head.shift else 0)


def get_answer(connection: Connection, head: HandoffHead, ended: datetime) -> HandoffContent:
    """What the message to the giver shows about the answer of that moment."""
    return handoffs.get_content(connection, head, head.giver_id, ended=ended)


def _lock_offered(
    tx: Connection, access: Access, handoff_id: int, identifier: int | None, now: datetime
) -> tuple[HandoffHead, list[IncidentHead]]:
    head = get_offer(tx, access, handoff_id)
    # The tick ends an offer within a second or so after its time.
    incidents = _lock(tx, access, head, identifier) if now < head.expires_at else []
    return head, incidents


def _lock(tx: Connection, access: Access, head: HandoffHead, identifier: int | None) -> list[IncidentHead]:
    """Locks the incidents that are still offered and that the caller sees, in the order of their ids."""
    locked = []
    for _, offered in handoffs.list_offered(tx, head.organization_id, head.id):
        if identifier in (None, offered):
            try:
                locked.append(lookup.get_incident(tx, access, offered, lock=True))
            except NotFound:
                continue
    # Who locked one of them before may have ended its offer.
    left = {id_ for id_, _ in handoffs.list_offered(tx, head.organization_id, head.id)}
    return [one for one in locked if one.id in left]


def _end(
    tx: Connection, head: HandoffHead, incident_id: int, state: OfferState, now: datetime, *, by: int | None
) -> bool:
    """Ends the offer of an incident. Returns False if it has ended already: it may lapse while it is answered."""
    ended = handoffs.end_offer(tx, head.organization_id, head.id, incident_id, state, now)
    if ended:
        _log_end(tx, head, incident_id, state, now, by=by)
    return ended


_STEPS = {
    OfferState.DECLINED: HandoffStep.DECLINED,
    OfferState.WITHDRAWN: HandoffStep.WITHDRAWN,
    OfferState.LAPSED: HandoffStep.LAPSED,
}


def _log_end(
    tx: Connection, head: HandoffHead, incident_id: int, state: OfferState, now: datetime, *, by: int | None
) -> None:
    activity.insert_activity(
        tx,
        head.organization_id,
        incident_id,
        ActivityType.HANDOFF,
        now=now,
        member_id=by,
        value=_STEPS[state],
        owner_id=head.receiver_id,
        previous_owner_id=head.giver_id,
    )


def _tell_giver(tx: Connection, head: HandoffHead, incidents: Sequence[IncidentHead], now: datetime) -> None:
    """Has the giver told what became of these incidents at `now`. The message is rendered when it is sent.

    It comes before anything that locks the caller's own conversation: delivery locks several in the order of their ids.
    """
    if incidents:
        _enqueue_answer(tx, head, now)


def _enqueue_answer(tx: Connection, head: HandoffHead, now: datetime) -> None:
    outbox.enqueue(
        tx,
        workspace_id=head.workspace_id,
        member_id=head.giver_id,
        kind=PostKind.HANDOFF_ANSWER,
        key=f"{ANSWER_KEY}{head.organization_id}:{head.id}:{now.isoformat()}",
        urgency=Urgency.URGENT,
        now=now,
    )


def end_next_lapsed(tx: Connection, now: datetime) -> bool:
    """Ends an offer that was not answered in time, and has the one told who made it. Returns False if there is none."""
    lapsed = handoffs.lapse_next(tx, now)
    if lapsed is None:
        return False
    head, incident_ids = lapsed
    _enqueue_answer(tx, head, now)
    for incident_id in incident_ids:
        _log_end(tx, head, incident_id, OfferState.LAPSED, now, by=None)
    return True
