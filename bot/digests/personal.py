"""Digests for one member alone: what is theirs and what changed, by direct message, at most once a day.

A member has at most one, and only they see it. It is fired like other digests: the row is locked, and changed in the
transaction that enqueues the message. The message is rendered when it is sent, for what the member sees then.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot import tracing
from bot.digests import schedule_text, zones
from bot.digests.content import FIRST_NEWS_PERIOD
from bot.digests.schedule import Schedule, parse_cron
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.words import tokenize
from storage.engine import Store
from storage.member_rows import PersonalDigest
from storage.queries import destinations, outbox, personal_digests
from storage.values import PostKind, Urgency

USAGE = 'digest me "weekdays at 9" [tz:zone]'
MESSAGE_KEY = "digest_me:"  # with the ids of organization and member, when it was due, and since when it has news
BATCH = 200  # digests in one transaction


class NoPersonalDigest(Refusal):
    """The caller has no digest of their own."""

    def __init__(self) -> None:
        super().__init__(f"You have no digest of your own. `{USAGE}` makes one.")


def save(tx: Connection, access: Access, line: str, now: datetime) -> PersonalDigest:
    """Creates the caller's own digest from the words after `digest me`, or changes it. Raises InvalidInput."""
    schedule, zone = _parse(line, access.timezone)
    known = personal_digests.find_digest(tx, access.organization_id, access.member_id, lock=True)
    digest = PersonalDigest(
        access.organization_id,
        access.member_id,
        access.workspace_id,
        str(schedule),
        zone.key,
        schedule.next(now, zone),
        known.since if known else now - FIRST_NEWS_PERIOD,
        None,
    )
    personal_digests.save_digest(tx, digest, now)
    return digest


def _parse(line: str, zone: str) -> tuple[Schedule, ZoneInfo]:
    tokens = tokenize(line)
    for token in tokens:
        if token.key is not None and token.key != "tz":
            raise InvalidInput(f"Your own digest takes no `{token.key}:`. It shows what is yours.", USAGE)
    named = [token.text for token in tokens if token.key == "tz"]
    try:
        schedule = schedule_text.parse_schedule(" ".join(token.text for token in tokens if token.key is None))
    except InvalidInput as mistake:
        raise InvalidInput(mistake.sentence, USAGE) from None
    if len(schedule.minutes) * len(schedule.hours) > 1:
        raise InvalidInput("Your own digest can come at most once a day. `digest now me` sends it at any time.", USAGE)
    return schedule, zones.parse_zone(named[-1] if named else zone, USAGE)


def get_own(connection: Connection, access: Access, *, lock: bool = False) -> PersonalDigest:
    """The caller's own digest. Raises NoPersonalDigest."""
    found = find_own(connection, access, lock=lock)
    if found is None:
        raise NoPersonalDigest
    return found


def find_own(connection: Connection, access: Access, *, lock: bool = False) -> PersonalDigest | None:
    """The caller's own digest, or None."""
    return personal_digests.find_digest(connection, access.organization_id, access.member_id, lock=lock)


def pause(tx: Connection, access: Access, now: datetime) -> PersonalDigest:
    """Pauses the caller's own digest. Raises NoPersonalDigest."""
    digest = replace(get_own(tx, access, lock=True), next_fire_at=None, date_paused=now)
    personal_digests.save_digest(tx, digest, now)
    return digest


def resume(tx: Connection, access: Access, now: datetime) -> PersonalDigest:
    """Resumes the caller's own digest. Raises NoPersonalDigest."""
    digest = get_own(tx, access, lock=True)
    following = parse_cron(digest.cron).next(now, ZoneInfo(digest.zone))
    digest = replace(digest, next_fire_at=following, date_paused=None)
    personal_digests.save_digest(tx, digest, now)
    return digest


def remove(tx: Connection, access: Access) -> None:
    """Removes the caller's own digest. Raises NoPersonalDigest."""
    if not personal_digests.delete_digest(tx, access.organization_id, access.member_id):
        raise NoPersonalDigest


def send_now(tx: Connection, access: Access, now: datetime) -> None:
    """Has the caller's own digest sent now. Its schedule stays. Raises NoPersonalDigest."""
    digest = get_own(tx, access, lock=True)
    _enqueue(tx, digest, now, now, urgency=Urgency.URGENT)
    personal_digests.save_digest(tx, replace(digest, since=now), now)


def fire_due(store: Store, now: datetime) -> None:
    """Has all personal digests sent that are due; of several times that have passed, one.

    Raises DatabaseAway, Contended.
    """
    while True:
        with ExitStack() as spans, store.write() as tx:
            due = personal_digests.lock_due(tx, now, BATCH)
            if due:
                spans.enter_context(tracing.span("digest due", personal=len(due)))
            # Delivery locks several conversations in the order of their ids, and so does this.
            destinations.lock_destinations(tx, {}, {(one.workspace_id, one.member_id) for one in due}, now)
            for digest in due:
                _enqueue(tx, digest, digest.next_fire_at or now, now, urgency=Urgency.BULK)
                following = parse_cron(digest.cron).next(now, ZoneInfo(digest.zone))
                personal_digests.save_digest(tx, replace(digest, next_fire_at=following, since=now), now)
        if len(due) < BATCH:
            return


def _enqueue(tx: Connection, digest: PersonalDigest, due: datetime, now: datetime, *, urgency: Urgency) -> None:
    outbox.enqueue(
        tx,
        workspace_id=digest.workspace_id,
        member_id=digest.member_id,
        kind=PostKind.PERSONAL_DIGEST,
        key=f"{MESSAGE_KEY}{digest.organization_id}:{digest.member_id}:{due.isoformat()}|{digest.since.isoformat()}",
        urgency=urgency,
        now=now,
    )
