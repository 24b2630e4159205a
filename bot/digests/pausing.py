"""Pauses digests whose owner has lost access or whose channel is lost, and notifies the people who can mend it."""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import Connection

from bot.digests.metrics import DigestMetrics
from bot.digests.summary import summarize
from bot.messages.digest import LOST_CHANNEL_REASONS
from bot.messages.digest_answers import capitalize, render_paused_notice
from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.engine import Store
from storage.queries import audit, digest_fires, outbox
from storage.queries import digests as queries
from storage.values import PostKind

log = structlog.get_logger(__name__)


def settle_posted(store: Store, now: datetime, command: str, metrics: DigestMetrics) -> None:
    """Copies the results of delivery to the fires, and pauses the digests whose channel is lost.

    Raises DatabaseAway, Contended.
    """
    with store.write() as tx:
        settled = digest_fires.settle_posted_fires(tx)
        for organization_id, digest_id, reason in settled:
            if reason is None:
                continue
            log.warning("a digest could not be sent", digest=digest_id, reason=reason)
            if reason in LOST_CHANNEL_REASONS:
                pause_digest(
                    tx, organization_id, digest_id, capitalize(LOST_CHANNEL_REASONS[reason]), now, command=command
                )
    for _, _, reason in settled:
        metrics.finished.labels("failed" if reason else "sent").inc()


def pause_digest(
    tx: Connection,
    organization_id: int,
    digest_id: int,
    reason: str,
    now: datetime,
    *,
    command: str,
    owner_left: bool = False,
) -> None:
    """Pauses a digest and notifies its owner, or all managers if the owner has left.

    Both happen in one transaction, and a paused digest is not paused again, so each person is notified once.
    `command` is the slash command that the notice names.
    """
    digest = queries.pause_digest(tx, organization_id, digest_id, reason, now)
    if digest is None:
        return
    log.warning("a digest is paused", digest=digest.id, reason=reason)
    before, after = {"paused": False}, {"paused": True}
    change = AuditChange(AuditAction.DIGEST_CHANGE, str(digest.id), before=before, after=after)
    audit.record(tx, digest.organization_id, Actor(AuditOrigin.SCHEDULE), [change], now)
    owner = None if owner_left else queries.find_owner(tx, digest)
    note = render_paused_notice(
        digest,
        summarize(digest),
        command,
        may_change=owner is None or owner.manages_digests,
    )
    recipients = queries.list_all_managers(tx, digest.organization_id) if owner is None else [owner.member_id]
    for member_id in recipients:
        outbox.enqueue(
            tx,
            workspace_id=digest.workspace_id,
            member_id=member_id,
            kind=PostKind.NOTE,
            key=f"digest paused:{digest.id}:{now.isoformat()}:{member_id}",
            message=note,
            now=now,
        )
