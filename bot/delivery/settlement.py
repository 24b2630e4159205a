"""Records the outcome of a call to Slack: delivered, to be retried, to be searched for, or given up."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import Connection

from bot.delivery import api_calls
from bot.delivery.api_calls import Limited, Refused, Result, Taken, Unknown, Unreached, WorkspaceClient
from bot.delivery.metrics import DeliveryMetrics
from bot.delivery.pace import Pace
from bot.delivery.rendering import Remove, Show
from bot.messages.notification import render_invitation
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import access as people
from storage.queries import delivery_failures, destinations, direct_messages, outbox, pacing, posts
from storage.queries.destinations import Target
from storage.queries.leases import Lease
from storage.queries.post_kinds import CardPost, DirectPost, KnownPost, StormPost
from storage.values import PostKind

log = structlog.get_logger(__name__)

# Errors that can be fixed by inviting the bot to the channel.
_INVITE_WOULD_HELP = frozenset({"channel_not_found", "not_in_channel"})
_DATABASE_WAIT_S = 0.2


class Settlement:
    """Records the outcome of deliveries. Several threads may share it."""

    def __init__(
        self, store: Store, clients: Mapping[str, WorkspaceClient], pace: Pace, metrics: DeliveryMetrics
    ) -> None:
        self._store = store
        self._now = store.clock.now
        self._clients = clients
        self._pace = pace
        self._metrics = metrics

    def settle(self, lease: Lease, post: KnownPost, show: Show | Remove | None, result: Result) -> None:
        """Records the outcome of a delivery.

        If the database is away, retries for up to half a lease, because nobody else knows the outcome. `show` is the
        content that was sent; None if a search found the message. Raises DatabaseAway, Contended.
        """
        deadline = time.monotonic() + self._pace.lease_s / 2
        while True:
            try:
                with self._store.write() as tx:
                    target = destinations.lock_target(tx, lease, self._now())
                    if target is not None:
                        self._record(tx, target, post, show, result)
                    elif isinstance(result, Taken) and post.ts is None:
                        self._record_late(tx, lease, post, str(result.answer["ts"]))
                return
            except (DatabaseAway, Contended):
                if time.monotonic() > deadline:
                    raise
                time.sleep(_DATABASE_WAIT_S)

    def _record_late(self, tx: Connection, lease: Lease, post: KnownPost, ts: str) -> None:
        """Records that a message was posted, although the lease ended before the outcome was known."""
        destinations.lock_destination(tx, lease.destination_id)
        if posts.mark_delivered_late(tx, post, ts, self._now()):
            self._record_posted(tx, lease.destination_id, post, ts)
            destinations.reschedule_destinations(tx, [lease.destination_id], self._now())

    def _record_posted(self, tx: Connection, destination_id: int, post: KnownPost, ts: str) -> None:
        """Updates other messages: older notifications shrink to a line, and direct messages can link to a new card."""
        if isinstance(post, DirectPost):
            direct_messages.rank_message(
                tx,
                post_id=post.id,
                destination_id=destination_id,
                incident_id=post.incident_id,
                ts=ts,
                now=self._now(),
            )
        elif isinstance(post, CardPost):
            outbox.redraw_direct_messages(tx, post.incident_id, self._now())

    def _record(
        self, tx: Connection, target: Target, post: KnownPost, show: Show | Remove | None, result: Result
    ) -> None:
        posting = post.ts is None
        match result:
            case Taken(answer=answer):
                self._record_delivered(tx, target, post, show, answer)
            case Limited(seconds=seconds):
                self._metrics.retried.labels("rate").inc()
                log.warning("Slack limits the rate of calls", seconds=seconds, destination=target.id)
                if posting:
                    posts.mark_not_sent(tx, post, self._now())
                    destinations.release_destination(tx, target, self._now(), pause_s=seconds, failures=target.failures)
                else:  # the limit applies to the workspace
                    pacing.block_method(tx, target.workspace_id, "chat.update", seconds, self._now())
                    posts.postpone_post(tx, post, seconds, self._now())
                    destinations.release_destination(tx, target, self._now(), failures=target.failures)
            case Unreached(reason=reason):
                log.warning("Slack could not be reached", reason=reason)
                if posting:
                    posts.mark_not_sent(tx, post, self._now())
                self.retry_later(tx, target, "unreached")
            case Unknown(reason=reason, answered=answered):
                log.warning("the outcome of a message is unknown", reason=reason, post=post.id)
                if posting:  # it stays marked as begun, and is searched for later
                    self._metrics.retried.labels("unknown").inc()
                    if answered:
                        slack_now = self._clients[target.workspace_id].installation.clock.now()
                        seconds = self._pace.answered_s
                        posts.mark_answered(tx, post, self._now(), slack_now=slack_now, seconds=seconds)
                    destinations.release_destination(
                        tx, target, self._now(), pause_s=self._pace.post_s, failures=target.failures
                    )
                else:
                    self.retry_later(tx, target, "unknown")
            case Refused(error=error):
                if posting:
                    posts.mark_not_sent(tx, post, self._now())
                self.record_refused(tx, target, post, error)

    def _record_delivered(
        self, tx: Connection, target: Target, post: KnownPost, show: Show | Remove | None, answer: Mapping[str, Any]
    ) -> None:
        posting = post.ts is None
        ts = None if isinstance(show, Remove) else str(answer.get("ts") or post.ts)
        posts.mark_delivered(
            tx,
            post,
            self._now(),
            ts=ts,
            # A message that a search found may show the state at the time when its posting began.
            version=post.wanted_version if show is not None or post.kind.is_one_time else post.wanted_version - 1,
            drawn_hash=show.fingerprint if isinstance(show, Show) else None,
            done=show.final if isinstance(show, Show) else post.kind.is_one_time,
        )
        if posting and ts is not None:
            self._record_posted(tx, target.id, post, ts)
        destinations.release_destination(
            tx,
            target,
            self._now(),
            pause_s=self._pace.post_s if posting else 0.0,
            sent_ts=ts if posting else None,
            reached=True,
            conversation_id=str(answer["channel"]) if posting and answer.get("channel") else None,
        )
        self._metrics.sent.labels(post.kind, "posted" if posting else "updated").inc()
        if posting:
            self._metrics.waited.labels(post.kind).observe(max(0.0, post.waited_s))

    def record_refused(self, tx: Connection, target: Target, post: KnownPost, error: str) -> None:
        """Records that Slack refused a call for a post. The error decides what happens next.

        Raises DatabaseAway, Contended.
        """
        if error in api_calls.TOKEN_ERRORS:
            destinations.release_destination(tx, target, self._now(), failures=target.failures)
            if pacing.pause_workspace(tx, target.workspace_id, error, self._pace.paused_s, self._now()):
                self._metrics.pauses.inc()
                log.error(
                    "Slack refuses the bot's token; nothing is lost, and sending continues once the token is valid",
                    workspace=target.workspace_id,
                    reason=error,
                )
        elif error in api_calls.GONE_ERRORS:
            self.record_deleted(tx, target, post)
        elif error in api_calls.CONTENT_ERRORS:
            # Slack refused even the plain text, so the message cannot be sent in any form.
            self._metrics.failed.labels(error).inc()
            posts.mark_delivered(tx, post, self._now(), ts=post.ts, failed_reason=error, done=not post.kind.is_lasting)
            destinations.release_destination(tx, target, self._now(), failures=target.failures)
        elif error in api_calls.UNREACHABLE_ERRORS:
            self.fail(tx, target, error)
        else:
            self._retry_refused(tx, target, post, error)

    def record_deleted(self, tx: Connection, target: Target, post: KnownPost) -> None:
        """Records that the message, or the one of its thread, was deleted in Slack.

        A card or the message of a storm is posted again.
        """
        if isinstance(post, CardPost | StormPost):
            posts.repost(tx, post, self._now())
        else:
            posts.mark_delivered(
                tx, post, self._now(), ts=None, failed_reason="message_not_found", done=not post.kind.is_lasting
            )
        destinations.release_destination(tx, target, self._now(), failures=target.failures)

    def _retry_refused(self, tx: Connection, target: Target, post: KnownPost, error: str) -> None:
        """Retries a refused post for a while, then gives it up. Others do not wait: it may be the only one refused."""
        since_s = post.refused_s or 0.0
        if since_s < self._pace.refused_for_s:
            self._metrics.retried.labels("refused").inc()
            wait_s = min(max(since_s, self._pace.refused_s), self._pace.longest_refused_s)
            log.warning("Slack refuses a message; it is tried again", post=post.id, reason=error, seconds=round(wait_s))
            posts.mark_refused(tx, post, self._now(), error, wait_s * random.uniform(0.75, 1.25))
        else:
            self._metrics.failed.labels(error).inc()
            log.error("Slack refuses a message; it is given up", post=post.id, kind=post.kind, reason=error)
            posts.mark_delivered(tx, post, self._now(), ts=post.ts, failed_reason=error, done=not post.kind.is_lasting)
        delivery_failures.mark_refusing(tx, target, error, self._now())
        destinations.release_destination(tx, target, self._now(), pause_s=self._pace.post_s, failures=target.failures)

    def fail(self, tx: Connection, target: Target, reason: str) -> None:
        """Gives up the posts of an unreachable destination. Notifies managers if inviting the bot would help."""
        first = target.failed_reason is None
        pause_s = min(self._pace.longest_failed_s, self._pace.failed_s * 2 ** min(target.failures, 20))
        ended = delivery_failures.fail_destination(tx, target, reason, pause_s, self._now())
        self._metrics.failed.labels(reason).inc(ended)
        log.warning("messages cannot be delivered", destination=target.id, channel=target.channel_id, reason=reason)
        if first and target.channel_id is not None and reason in _INVITE_WOULD_HELP:
            for member_id in people.list_managers(tx, target.organization_id):
                outbox.enqueue(
                    tx,
                    workspace_id=target.workspace_id,
                    member_id=member_id,
                    kind=PostKind.NOTE,
                    key=f"invite:{target.id}:{member_id}:{self._now():%Y-%m-%d}",
                    message=dict(render_invitation(target.channel_id)),
                    now=self._now(),
                )

    def retry_later(self, tx: Connection, target: Target, why: str) -> None:
        """Schedules another attempt at the destination, after a backoff that grows with each failure."""
        self._metrics.retried.labels(why).inc()
        longest = min(self._pace.longest_retry_s, self._pace.first_retry_s * 2 ** min(target.failures, 20))
        # Jitter, so that destinations that failed together are not retried together.
        destinations.release_destination(
            tx,
            target,
            self._now(),
            pause_s=longest * random.uniform(0.5, 1.0),
            failures=target.failures + 1,
        )
