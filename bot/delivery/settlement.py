"""Records the outcome of a call to Slack: delivered, to be retried, to be searched for, or given up."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import Connection

from bot import tracing
from bot.delivery import api_calls
from bot.delivery.api_calls import Limited, Refused, Result, Taken, Unknown, Unreached, WorkspaceClient
from bot.delivery.metrics import DeliveryMetrics
from bot.delivery.pace import Pace
from bot.delivery.rendered import Remove, Show
from bot.messages.notification import render_invitation
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import access as people
from storage.queries import delivery_failures, destinations, direct_messages, outbox, pacing, posts
from storage.queries.destinations import Release, Target
from storage.queries.direct_messages import SentMessage
from storage.queries.leases import Lease
from storage.queries.post_kinds import CardPost, DirectPost, KnownPost, StormPost
from storage.queries.posts import Delivered
from storage.values import PostKind

log = structlog.get_logger(__name__)

# Errors that can be fixed by inviting the bot to the channel.
_INVITE_WOULD_HELP = frozenset({"channel_not_found", "not_in_channel"})
_DATABASE_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a call to Slack for a post. `show` is what was sent; None if a search found the message."""

    lease: Lease
    post: KnownPost
    show: Show | Remove | None
    result: Result
    known_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class _Success:
    """What Slack answered when it took a message."""

    target: Target
    post: KnownPost
    show: Show | Remove | None
    answer: Mapping[str, Any]
    known_at: float

    @property
    def ts(self) -> str | None:
        return None if isinstance(self.show, Remove) else str(self.answer.get("ts") or self.post.ts)

    @property
    def posted_ts(self) -> str | None:
        """The ts of a message that was posted now; None if one was updated or deleted."""
        return self.ts if self.post.ts is None else None


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

    def settle_together(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Records in one transaction what Slack took. Returns the outcomes that must be settled one by one.

        That is what Slack did not take, and whose destination another transaction has locked: the others do not wait
        for those. All of them, if the transaction fails.
        """
        taken = {one.lease: one for one in outcomes if isinstance(one.result, Taken)}
        if not taken:
            return list(outcomes)
        try:
            with tracing.span("delivery settle", messages=len(taken)), self._store.write() as tx:
                targets = destinations.lock_free_targets(tx, taken, self._now())
                self._record_delivered(tx, [_success(target, taken[lease]) for lease, target in targets.items()])
            self._count([taken[lease] for lease in targets])
        except Exception as error:
            log.warning("messages are recorded one by one", count=len(outcomes), error=str(error.__cause__ or error))
            return list(outcomes)
        return [one for one in outcomes if one.lease not in targets]

    def settle(self, outcome: Outcome) -> None:
        """Records the outcome of a delivery.

        If the database is away, retries for up to half a lease, because nobody else knows the outcome. Raises
        DatabaseAway, Contended.
        """
        deadline = time.monotonic() + self._pace.lease_s / 2
        lease, post, result = outcome.lease, outcome.post, outcome.result
        while True:
            try:
                with tracing.span("delivery settle", messages=1), self._store.write() as tx:
                    target = destinations.lock_target(tx, lease, self._now())
                    if target is not None:
                        self._record(tx, target, outcome)
                    elif isinstance(result, Taken) and post.ts is None:
                        self._record_late(tx, lease, post, str(result.answer["ts"]))
            except (DatabaseAway, Contended):
                if time.monotonic() > deadline:
                    raise
                time.sleep(_DATABASE_WAIT_S)
            else:
                if target is not None and isinstance(result, Taken):
                    self._count([outcome])
                return

    def _count(self, taken: Sequence[Outcome]) -> None:
        for outcome in taken:
            post = outcome.post
            self._metrics.sent.labels(post.kind, "posted" if post.ts is None else "updated").inc()
            if post.ts is None:
                self._metrics.waited.labels(post.kind).observe(max(0.0, post.waited_s))

    def _record_late(self, tx: Connection, lease: Lease, post: KnownPost, ts: str) -> None:
        """Records that a message was posted, although the lease ended before the outcome was known."""
        destinations.lock_destination(tx, lease.destination_id)
        if posts.mark_delivered_late(tx, post, ts, self._now()):
            if isinstance(post, DirectPost):
                message = SentMessage(post.organization_id, post.id, lease.destination_id, post.incident_id, ts)
                direct_messages.rank_message(tx, message, self._now())
            elif isinstance(post, CardPost):
                outbox.redraw_direct_messages(tx, [(post.organization_id, post.incident_id)], self._now())
            destinations.reschedule_destinations(tx, [lease.destination_id], self._now())

    def _record_delivered(self, tx: Connection, successes: Sequence[_Success]) -> None:
        """Records what Slack took, each in another destination.

        Also updates other messages: older notifications shrink to a line, and direct messages can link to a new card.
        Each post is updated only once, otherwise PostgreSQL would check its foreign keys again.
        """
        now = self._now()
        above = [
            SentMessage(one.post.organization_id, one.post.id, one.target.id, one.post.incident_id, one.posted_ts)
            for one in successes
            if isinstance(one.post, DirectPost) and one.posted_ts is not None
        ]
        direct_messages.outdate_messages_above(tx, above, now)
        ranked = {message.post_id for message in above}
        posts.mark_delivered(
            tx,
            [
                Delivered(
                    one.post,
                    one.ts,
                    # A message that a search found may show the state at the time when its posting began.
                    one.post.wanted_version - (one.show is None and not one.post.kind.is_one_time),
                    drawn_hash=one.show.fingerprint if isinstance(one.show, Show) else None,
                    done=one.show.final if isinstance(one.show, Show) else one.post.kind.is_one_time,
                    ranked_in=one.target.id if one.post.id in ranked else None,
                )
                for one in successes
            ],
            now,
        )
        cards = [
            (one.post.organization_id, one.post.incident_id)
            for one in successes
            if isinstance(one.post, CardPost) and one.posted_ts
        ]
        outbox.redraw_direct_messages(tx, cards, now)
        destinations.release_destinations(
            tx,
            [
                Release(
                    one.target,
                    # The pace is that of the messages, however long their outcomes waited to be recorded.
                    pause_s=max(0.0, self._pace.post_s - (time.monotonic() - one.known_at))
                    if one.post.ts is None
                    else 0.0,
                    sent_ts=one.posted_ts,
                    conversation_id=str(one.answer["channel"])
                    if one.post.ts is None and one.answer.get("channel")
                    else None,
                    reached=True,
                )
                for one in successes
            ],
            now,
        )

    def _record(self, tx: Connection, target: Target, outcome: Outcome) -> None:
        post = outcome.post
        posting = post.ts is None
        match outcome.result:
            case Taken():
                self._record_delivered(tx, [_success(target, outcome)])
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
            self._give_up(tx, post, error, ts=post.ts)
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
            self._give_up(tx, post, "message_not_found", ts=None)
        destinations.release_destination(tx, target, self._now(), failures=target.failures)

    def _give_up(self, tx: Connection, post: KnownPost, reason: str, *, ts: str | None) -> None:
        given_up = Delivered(post, ts, failed_reason=reason, done=not post.kind.is_lasting)
        posts.mark_delivered(tx, [given_up], self._now())

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
            self._give_up(tx, post, error, ts=post.ts)
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


def _success(target: Target, outcome: Outcome) -> _Success:
    assert isinstance(outcome.result, Taken)
    return _Success(target, outcome.post, outcome.show, outcome.result.answer, outcome.known_at)
