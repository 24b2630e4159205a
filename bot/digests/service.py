"""The rules of digests: who may create and change them, and what a digest may be. Nothing here calls Slack.

Admins, managers and owners of an organization manage digests for the projects that they see. The owner of a digest
manages that digest. Its owner consents to show its content in its channel, within what they may see. So who changes the
channel or the filters of a digest becomes its owner, and so does who resumes one whose owner may no longer show it. Who
changes when it is sent, or how it looks, does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.digests import content
from bot.digests.content import FIRST_NEWS_PERIOD, AccessLost, IncidentsSwitchedOff
from bot.digests.drafts import Draft, with_usage
from bot.digests.errors import DigestChanged, MayNotChangeDigest, MayNotManageDigests, NoSuchDigest, NotDigestOwner
from bot.digests.schedule import Schedule, parse_cron
from bot.digests.summary import summarize
from bot.incidents import audit, filters, search
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.filters import ListQuery
from bot.incidents.words import shorten
from bot.messages.digest_answers import render_taken_over
from storage.audit_rows import AuditAction, AuditOrigin
from storage.digest_rows import DigestRow, Fire, History
from storage.queries import audit as audit_entries
from storage.queries import digest_fires, directory, outbox
from storage.queries import digests as queries
from storage.values import PostKind, Urgency

# Messages of one digest in one channel on one day. More are allowed, with a warning.
SENSIBLE_PER_DAY = 24
NEXT_TIMES_SHOWN = 3
_EDITED_WITHIN = timedelta(days=1)  # a form that was open for longer does not say who changed the digest
_IN_FORM = ("channel", "schedule", "zone", "filters", "skip_empty", "picture")  # of what `describe` returns
_ACTIONS = (AuditAction.DIGEST_ADD, AuditAction.DIGEST_CHANGE, AuditAction.DIGEST_REMOVE)


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
        raise with_usage(mistake) from None


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


def build_version(digest: DigestRow) -> str:
    """Short text that differs when something differs that stands in the form of a digest."""
    described = describe(digest)
    return hashlib.sha256(repr([described[name] for name in _IN_FORM]).encode()).hexdigest()[:16]


def check_version(connection: Connection, digest: DigestRow, seen: str, now: datetime) -> None:
    """Raises DigestChanged unless `seen` is what `build_version` returned when the caller began to edit the digest."""
    if seen == build_version(digest):
        return
    subjects = [str(digest.id), *([digest.name] if digest.name else [])]
    found = audit_entries.find_latest(
        connection,
        digest.organization_id,
        AuditAction.DIGEST_CHANGE,
        subjects,
        now - _EDITED_WITHIN,
        changed=(*_IN_FORM, "channel_id", "cron"),  # as those of the organization file are called
    )
    origin, actor = found or (None, None)
    by = "The organization file" if origin == AuditOrigin.FILE else actor
    raise DigestChanged(digest.id, None if by is None else shorten(by))


def change_digest(
    tx: Connection, access: Access, user_id: str, digest: DigestRow, channel_id: str, draft: Draft, now: datetime
) -> DigestRow:
    """Applies a draft that passed `check_draft`. A paused digest stays paused.

    If it shows something else, or elsewhere, the caller becomes the owner, and the owner before is notified.
    """
    following = None if digest.date_paused else draft.schedule.next(now, draft.zone)
    moved = channel_id != digest.channel_id
    workspace_id = access.workspace_id if moved else digest.workspace_id
    columns = draft.columns()
    if same := _is_same(tx, access, digest, draft.query):
        columns["filters"] = digest.filters  # `team:mine` in it means its owner's
    queries.update_digest(
        tx,
        digest.organization_id,
        digest.id,
        {
            "workspace_id": workspace_id,
            "channel_id": channel_id,
            "next_fire_at": following,
            **columns,
            **_choose_owner(tx, access, user_id, digest, workspace_id, now, stays=same and not moved),
        },
    )
    return _record(tx, access, digest, get_digest(tx, access, digest.id), now)


def _is_same(connection: Connection, access: Access, digest: DigestRow, query: ListQuery) -> bool:
    """Whether a query has the filters of a digest."""
    before = search.name_owner_leniently(connection, access, filters.parse_query(digest.filters))
    after = search.name_owner_leniently(connection, access, query)
    return replace(before, teams=tuple(sorted(before.teams))) == replace(after, teams=tuple(sorted(after.teams)))


def _choose_owner(
    tx: Connection,
    access: Access,
    user_id: str,
    digest: DigestRow,
    workspace_id: str,
    now: datetime,
    *,
    stays: bool,
) -> Mapping[str, Any]:
    """The columns that make the caller the owner; none if the owner `stays`, and may still show the digest."""
    if digest.owner_id != access.member_id and stays:
        try:
            content.resolve_digest_scope(tx, content.get_owner_access(tx, digest), digest, now)
        except AccessLost:
            pass
        else:
            return {}
    return {
        "owner_id": access.member_id,
        "owner_user_id": user_id if workspace_id == access.workspace_id else None,
    }


def pause_digest(tx: Connection, access: Access, digest: DigestRow, now: datetime) -> DigestRow:
    """Pauses a running digest and returns it."""
    queries.pause_digest(tx, digest.organization_id, digest.id, None, now)
    return _record(tx, access, digest, get_digest(tx, access, digest.id), now)


def resume_digest(tx: Connection, access: Access, user_id: str, digest: DigestRow, now: datetime) -> DigestRow:
    """Resumes a paused digest. If its owner may no longer show it, the caller becomes the owner.

    Raises InvalidInput when the caller may not use its filters.
    """
    content.resolve_scope(tx, access, filters.parse_query(digest.filters), now)
    following = parse_cron(digest.cron).next(now, ZoneInfo(digest.zone))
    queries.update_digest(
        tx,
        digest.organization_id,
        digest.id,
        {
            **_choose_owner(tx, access, user_id, digest, digest.workspace_id, now, stays=True),
            "next_fire_at": following,
            "date_paused": None,
            "pause_reason": None,
        },
    )
    return _record(tx, access, digest, get_digest(tx, access, digest.id), now)


def publish_now(tx: Connection, digest: DigestRow, now: datetime) -> None:
    """Publishes a digest now. Its schedule and the period of its next news do not change."""
    digest_fires.insert_manual_fire(
        tx, digest.organization_id, digest.id, now, digest.last_sent_at or now - FIRST_NEWS_PERIOD
    )


def remove(tx: Connection, access: Access, digest: DigestRow, now: datetime) -> None:
    """Removes a digest. Messages of it that wait to be sent are not sent."""
    queries.delete_digest(tx, digest.organization_id, digest.id)
    audit.record(tx, access, audit.build_change(_ACTIONS, describe(digest), None, subject=str(digest.id)), now)


def _record(tx: Connection, access: Access, before: DigestRow | None, digest: DigestRow, now: datetime) -> DigestRow:
    """Records in the audit log what was done to a digest, and returns it."""
    old = None if before is None else describe(before)
    audit.record(tx, access, audit.build_change(_ACTIONS, old, describe(digest), subject=str(digest.id)), now)
    if before is not None and before.owner_id != digest.owner_id:
        _notify_former_owner(tx, access, before, now)
    return digest


def _notify_former_owner(tx: Connection, access: Access, before: DigestRow, now: datetime) -> None:
    outbox.enqueue(
        tx,
        workspace_id=before.workspace_id,
        member_id=before.owner_id,
        kind=PostKind.NOTE,
        key=f"digest taken over:{before.id}:{before.owner_id}:{now.isoformat()}",
        message=dict(render_taken_over(before, summarize(before), access.name)),
        now=now,
        urgency=Urgency.NEWS,
    )


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
    return digest_fires.find_fire(connection, digest.organization_id, digest.id, fire_id)


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
    return [project.name for project in directory.list_projects(connection, access.organization_id, scope.project_ids)]


def check_shared_channel(access: Access, name: str) -> None:
    """Raises Refusal if the organization does not allow channels that are shared with another company.

    `name` is the name of the channel.
    """
    if not access.shared_channels:
        raise Refusal(
            f"#{name} is shared with another company, and {access.organization_name} does not allow incidents in"
            " shared channels. To allow them, set `shared_channels: true` in the organization file."
        )
