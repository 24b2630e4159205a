"""The rules of digests: who may create and change them, and what a digest may be. Nothing here calls Slack.

Admins, managers and owners of an organization manage digests for the projects that they see. The owner of a digest
manages that digest. A member who creates, changes or resumes a digest becomes its owner. They thereby consent to show
its content in the channel, within what they may see.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.digests import content, schedule_text, zones
from bot.digests.content import FIRST_NEWS_PERIOD, AccessLost, IncidentsSwitchedOff
from bot.digests.errors import MayNotChangeDigest, MayNotManageDigests, NoSuchDigest, NotDigestOwner
from bot.digests.schedule import MAX_LENGTH, USAGE, Schedule, parse_cron
from bot.incidents import audit, filters
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.filters import ListQuery
from bot.incidents.words import Token, shorten, tokenize
from storage.audit_rows import AuditAction
from storage.digest_rows import DigestRow, Fire, History
from storage.queries import digest_fires, directory
from storage.queries import digests as queries

# Messages of one digest in one channel on one day. More are allowed, with a warning.
SENSIBLE_PER_DAY = 24
NEXT_TIMES_SHOWN = 3
LIST_USAGE = "digest list"
_LARGEST_ID = 2**63 - 1  # what the column holds
_ACTIONS = (AuditAction.DIGEST_ADD, AuditAction.DIGEST_CHANGE, AuditAction.DIGEST_REMOVE)
_OPTION_NAMES = ("tz", "empty", "picture")
_ANY_DATE = datetime(2026, 1, 1, tzinfo=UTC)  # whether a date is valid does not depend on the current day


@dataclass(frozen=True, slots=True)
class Draft:
    """The values of a digest that somebody wants, parsed but not stored."""

    schedule: Schedule
    zone: ZoneInfo
    query: ListQuery
    skip_empty: bool = False
    picture: bool = True

    def columns(self) -> dict[str, Any]:
        """Returns the values by column of the table `digest`."""
        return {
            "cron": str(self.schedule),
            "zone": self.zone.key,
            "filters": str(self.query),
            "skip_empty": self.skip_empty,
            "picture": self.picture,
        }


# --- parsing -----------------------------------------------------------------------------------------------


def parse_draft(line: str, zone: str) -> Draft:
    """Parses the words after `digest add`: a schedule, with or without quotes, options and filters.

    `zone` is the caller's zone, used if `tz:` is not given. Raises InvalidInput.
    """
    if len(line) > filters.MAX_LENGTH:
        raise InvalidInput(f"Schedule and filters can have at most {filters.MAX_LENGTH:,} characters.", USAGE)
    found = tokenize(line)
    options: dict[str, str] = {}
    rest: list[Token] = []
    for token in found:
        if token.key in _OPTION_NAMES:
            if token.key in options:
                raise InvalidInput(f"`{token.key}:` can be given only once.", USAGE)
            options[token.key] = token.text
        else:
            rest.append(token)
    schedule, others = _parse_schedule(rest)
    return Draft(
        schedule,
        zones.parse_zone(options.get("tz", zone), USAGE),
        parse_filters(others),
        skip_empty=_parse_choice("empty", options.get("empty", "send"), {"skip": True, "send": False}),
        picture=_parse_choice("picture", options.get("picture", "yes"), {"yes": True, "no": False}),
    )


def _parse_choice(key: str, value: str, meanings: dict[str, bool]) -> bool:
    if value.lower() not in meanings:
        raise InvalidInput(f"`{key}:` can be {' or '.join(meanings)}, not “{value}”.", USAGE)
    return meanings[value.lower()]


def _parse_schedule(found: Sequence[Token]) -> tuple[Schedule, Sequence[Token]]:
    """Returns the schedule before the filters, and the tokens after it.

    The schedule is the quoted text at the beginning, or else the longest run of words that is a valid schedule. Words
    beyond MAX_LENGTH characters are not tried.
    """
    if not found:
        return schedule_text.parse_schedule(""), []
    if found[0].quoted and found[0].key is None:
        return schedule_text.parse_schedule(found[0].text), found[1:]
    front = list(itertools.takewhile(lambda token: token.key is None, found))
    lengths = itertools.accumulate(len(token.text) + 1 for token in front)
    most = sum(1 for length in lengths if length - 1 <= MAX_LENGTH)
    for count in range(most, 0, -1):
        try:
            return schedule_text.parse_schedule(" ".join(token.text for token in found[:count])), found[count:]
        except InvalidInput:
            continue
    # No part is a valid schedule. The error is about the five fields of a cron expression, or about all the words.
    typed = [token.text for token in front[: most or 1]]
    return schedule_text.parse_schedule(
        " ".join(typed[:5] if len(typed) >= 5 and any("*" in one for one in typed) else typed)
    ), []


def parse_filters(found: Sequence[Token] | str) -> ListQuery:
    """Parses the filters of a digest: those of `list`, except `closed`. Raises InvalidInput."""
    try:
        query = filters.parse_query(found) if isinstance(found, str) else filters.parse_tokens(found)
    except InvalidInput as mistake:
        raise _with_usage(mistake) from None
    return check_filters(query)


def check_filters(query: ListQuery) -> ListQuery:
    """The query, if a digest can have it. Raises InvalidInput."""
    for key, value in (("since", query.since), ("until", query.until)):
        if value:
            _check_moment(value, key)
    if query.following:
        raise InvalidInput("A digest is for a whole channel, so it cannot use `following:`.", USAGE, field="only")
    if query.owner == "me":
        raise InvalidInput("A digest is for a whole channel, so it cannot use `owner:me`.", USAGE, field="owner")
    if query.silenced:
        raise InvalidInput("A digest shows what needs attention, so it cannot use `silenced:`.", USAGE)
    if query.show == "closed":
        raise InvalidInput(
            "A digest shows open incidents, so `closed` would leave it empty. What was resolved since the last digest"
            " is always included.",
            USAGE,
            field="show",
        )
    return query


def _check_moment(value: str, key: str) -> None:
    try:
        filters.moment(value, key, _ANY_DATE, "UTC")
    except InvalidInput as mistake:
        raise _with_usage(mistake) from None


def _with_usage(mistake: InvalidInput) -> InvalidInput:
    """The error of a filter with the usage of `digest add`, not that of `list`."""
    return InvalidInput(mistake.mistake, USAGE, field=mistake.field, wrong=mistake.wrong, meant=mistake.meant)


def parse_id(word: str, usage: str = LIST_USAGE) -> int:
    """Parses the id of a digest in `3` or `#3`. Raises InvalidInput with `usage`, the correct form."""
    digits = word.strip().removeprefix("#")
    if not digits:
        raise InvalidInput("Which digest? Add its number, which `digest list` shows.", usage)
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidInput(f"“{shorten(word)}” is not the number of a digest. `digest list` shows the numbers.", usage)
    return min(int(digits[:20]), _LARGEST_ID)


# --- creating and changing ---------------------------------------------------------------------------------


def check_role(access: Access) -> None:
    """Checks the caller's role, before their input is parsed. Raises MayNotManageDigests."""
    if not access.manages_digests:
        raise MayNotManageDigests


def check_may_change(access: Access) -> None:
    """Checks the role of somebody who may manage a digest, as its owner may always. Raises MayNotChangeDigest."""
    if not access.manages_digests:
        raise MayNotChangeDigest


def check_draft(connection: Connection, access: Access, draft: Draft, now: datetime) -> None:
    """Checks that the caller may create this digest. Raises Refusal, or InvalidInput for an unknown team or project."""
    check_role(access)
    if not access.project_ids:
        raise Refusal("You cannot see any project yet, so your digest would be empty.")
    try:
        content.resolve_scope(connection, access, draft.query, now)
    except InvalidInput as mistake:
        raise _with_usage(mistake) from None


def create_digest(
    tx: Connection, access: Access, user_id: str, channel_id: str, draft: Draft, now: datetime
) -> DigestRow:
    """Creates a digest owned by the caller. The draft must have passed `check_draft`."""
    digest_id = queries.insert_digest(
        tx,
        {
            "organization_id": access.organization_id,
            "workspace_id": access.workspace_id,
            "channel_id": channel_id,
            "owner_id": access.member_id,
            "owner_user_id": user_id,
            **draft.columns(),
            "next_fire_at": draft.schedule.next(now, draft.zone),
            "default_grace": True,
            "date_added": now,
        },
    )
    return _record(tx, access, None, get_digest(tx, access, digest_id), now)


def change_digest(
    tx: Connection, access: Access, user_id: str, digest: DigestRow, channel_id: str, draft: Draft, now: datetime
) -> DigestRow:
    """Applies a draft that passed `check_draft`; the caller becomes the owner. A paused digest stays paused."""
    following = None if digest.date_paused else draft.schedule.next(now, draft.zone)
    workspace_id = digest.workspace_id if channel_id == digest.channel_id else access.workspace_id
    queries.update_digest(
        tx,
        digest.id,
        {
            "workspace_id": workspace_id,
            "channel_id": channel_id,
            "owner_id": access.member_id,
            "owner_user_id": user_id if workspace_id == access.workspace_id else None,
            "next_fire_at": following,
            **draft.columns(),
        },
    )
    return _record(tx, access, digest, get_digest(tx, access, digest.id), now)


def pause_digest(tx: Connection, access: Access, digest: DigestRow, now: datetime) -> DigestRow:
    """Pauses a running digest and returns it."""
    queries.pause_digest(tx, digest.id, None, now)
    return _record(tx, access, digest, get_digest(tx, access, digest.id), now)


def resume_digest(tx: Connection, access: Access, user_id: str, digest: DigestRow, now: datetime) -> DigestRow:
    """Resumes a paused digest; the caller becomes the owner. Raises InvalidInput when they may not use its filters."""
    content.resolve_scope(tx, access, filters.parse_query(digest.filters), now)
    following = parse_cron(digest.cron).next(now, ZoneInfo(digest.zone))
    queries.update_digest(
        tx,
        digest.id,
        {
            "owner_id": access.member_id,
            "owner_user_id": user_id if digest.workspace_id == access.workspace_id else None,
            "next_fire_at": following,
            "date_paused": None,
            "pause_reason": None,
        },
    )
    return _record(tx, access, digest, get_digest(tx, access, digest.id), now)


def publish_now(tx: Connection, digest: DigestRow, now: datetime) -> None:
    """Publishes a digest now. Its schedule and the period of its next news do not change."""
    digest_fires.insert_manual_fire(tx, digest.id, now, digest.last_sent_at or now - FIRST_NEWS_PERIOD)


def remove(tx: Connection, access: Access, digest: DigestRow, now: datetime) -> None:
    """Removes a digest. Messages of it that wait to be sent are not sent."""
    queries.delete_digest(tx, digest.id)
    audit.record(tx, access, audit.build_change(_ACTIONS, describe(digest), None, subject=str(digest.id)), now)


def _record(tx: Connection, access: Access, before: DigestRow | None, digest: DigestRow, now: datetime) -> DigestRow:
    """Records in the audit log what was done to a digest, and returns it."""
    old = None if before is None else describe(before)
    audit.record(tx, access, audit.build_change(_ACTIONS, old, describe(digest), subject=str(digest.id)), now)
    return digest


def describe(digest: DigestRow) -> Mapping[str, Any]:
    """A digest as the audit log has it."""
    return {
        "name": digest.name,
        "channel": digest.channel_id,
        "owner_id": digest.owner_id,
        "schedule": digest.cron,
        "zone": digest.zone,
        "filters": digest.filters,
        "skip_empty": digest.skip_empty,
        "picture": digest.picture,
        "paused": digest.date_paused is not None,
    }


# --- finding -----------------------------------------------------------------------------------------------


def get_digest(connection: Connection, access: Access, digest_id: int, *, lock: bool = False) -> DigestRow:
    """A digest of the caller's organization. Raises NoSuchDigest."""
    digest = queries.find_digest(connection, access.organization_id, digest_id, lock=lock)
    if digest is None:
        raise NoSuchDigest(digest_id)
    return digest


def get_manageable_digest(
    connection: Connection, access: Access, digest_id: int, now: datetime, *, here: str | None, lock: bool = False
) -> DigestRow:
    """A digest that the caller may change. `here` is the channel in which they ask.

    If the caller may not change it, raises NotDigestOwner for a digest of this channel, where everybody can list it.
    Raises NoSuchDigest for any other, so that the response does not reveal whether it exists.
    """
    digest = get_digest(connection, access, digest_id, lock=lock)
    if may_manage(connection, access, digest, now):
        return digest
    if digest.channel_id != here:
        raise NoSuchDigest(digest_id)
    raise NotDigestOwner(
        f"Digest {digest_id} belongs to {digest.owner}. Only they can change it, and admins, managers and owners who"
        " can see everything in it."
    )


def list_digests(
    connection: Connection, access: Access, channel_id: str | None, most: int
) -> list[tuple[DigestRow, History]]:
    """At most `most` digests that are in the channel or owned by the caller, each with its history."""
    return queries.list_digests(connection, access.organization_id, channel_id, access.member_id, most)


def list_all_digests(
    connection: Connection, access: Access, *, skip: int, most: int
) -> list[tuple[DigestRow, History]]:
    """The digests of the organization, each with its history, for somebody who sees all of its projects."""
    if not (access.manages_digests and access.sees_all):
        raise MayNotManageDigests
    return queries.list_all_digests(connection, access.organization_id, skip=skip, most=most)


def find_fire(connection: Connection, digest: DigestRow, fire_id: int) -> Fire | None:
    """A fire of the digest; None if it is no longer stored, or belongs to another digest."""
    return digest_fires.find_fire(connection, digest.id, fire_id)


def may_manage(connection: Connection, access: Access, digest: DigestRow, now: datetime) -> bool:
    """Whether the caller may change the digest and see what it shows."""
    if digest.owner_id == access.member_id:
        return True
    if not access.manages_digests:
        return False
    if access.sees_all:
        return True
    try:
        owner = content.get_owner_access(connection, digest)
        shown = content.resolve_digest_scope(connection, owner, digest, now).project_ids
    except (AccessLost, IncidentsSwitchedOff):
        return False
    return set(shown) <= set(access.project_ids)


# --- describing --------------------------------------------------------------------------------------------


def list_next_times(schedule: Schedule, zone: ZoneInfo, now: datetime) -> list[datetime]:
    """Returns the next NEXT_TIMES_SHOWN times, in UTC."""
    return schedule.next_times(NEXT_TIMES_SHOWN, now, zone)


def frequency_warning(schedule: Schedule, zone: ZoneInfo, now: datetime) -> str | None:
    """A warning for a schedule with more than SENSIBLE_PER_DAY messages a day; None for any other."""
    times = schedule.next_times(SENSIBLE_PER_DAY + 2, now, zone)
    if (times[-1] - times[0]).days >= 1:
        return None
    shortest = min(later - earlier for earlier, later in pairwise(times))
    minutes = int(shortest.total_seconds()) // 60
    often = "every minute" if minutes == 1 else f"every {minutes} minutes"
    return f"This sends a message to the channel {often}. `digest pause` stops it."


def list_restricted_projects(connection: Connection, access: Access, draft: Draft, now: datetime) -> list[str]:
    """Returns the names of projects that the channel would see, although not every member may see them."""
    if queries.has_open_membership(connection, access.organization_id):
        return []
    scope = content.resolve_scope(connection, access, draft.query, now)
    return [project.name for project in directory.list_projects(connection, scope.project_ids)]


def check_shared_channel(access: Access, name: str) -> None:
    """Raises Refusal if the organization does not allow channels that are shared with another company.

    `name` is the name of the channel.
    """
    if not access.shared_channels:
        raise Refusal(
            f"#{name} is shared with another company, and {access.organization_name} does not allow incidents in"
            " shared channels. To allow them, set `shared_channels: true` in the organization file."
        )
