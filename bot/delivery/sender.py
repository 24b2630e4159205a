"""Serves leased destinations: chooses the post that is due, renders it and sends it to Slack.

Nothing is sent inside a transaction. The start of a posting is recorded before the call to Slack, and its outcome after
it (`settlement`). Until then the outcome is unknown: before the message is posted again, the conversation is searched
for the id in the message's metadata (`recovery`). An update may be made twice and needs no search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection

from bot import tracing
from bot.delivery import api_calls
from bot.delivery.api_calls import Refused, Result, Taken, WorkspaceClient
from bot.delivery.destination_checks import DestinationChecks
from bot.delivery.message_metadata import build_metadata
from bot.delivery.metrics import DeliveryMetrics
from bot.delivery.pace import Pace
from bot.delivery.recovery import Recovery
from bot.delivery.rendering import (
    SHARED,
    UNKNOWN_WAIT_S,
    Drop,
    NotYet,
    Remove,
    RenderDigest,
    Show,
    log_unknown_post,
    render,
)
from bot.delivery.settlement import Settlement
from bot.messages.card import strip_blocks
from bot.people.identity import Identity
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import delivery_failures, destinations, pacing, posts
from storage.queries.destinations import Target
from storage.queries.leases import Lease
from storage.queries.post_kinds import KnownPost, Post, UnknownPost
from storage.values import PostKind, Urgency

log = structlog.get_logger(__name__)

# The names under which calls of chat.update are reserved: all of them, and those that nobody waits for.
_UPDATE = "chat.update"
_NEWS_UPDATE = "chat.update of news"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The work to do outside a transaction for a post and its target."""

    target: Target
    post: KnownPost
    show: Show | Remove | None = None  # None: Slack must be asked about the target first
    search: bool = False  # whether to search for the message before it is posted again


class Sender:
    """Serves leased destinations. Several threads may share it."""

    def __init__(
        self,
        store: Store,
        clients: Mapping[str, WorkspaceClient],
        identity: Identity,
        pace: Pace,
        metrics: DeliveryMetrics,
        render_digest: RenderDigest,
    ) -> None:
        self._store = store
        self._render_digest = render_digest
        self._now = store.clock.now
        self._clients = clients
        self._pace = pace
        self._metrics = metrics
        self._settlement = Settlement(store, clients, pace, metrics)
        self._recovery = Recovery(store, clients, self._settlement, pace, metrics)
        self._checks = DestinationChecks(store, clients, identity, self._settlement, pace)

    def serve(self, lease: Lease) -> None:
        """Handles the next post that is due at a destination, and releases it. Raises DatabaseAway, Contended.

        A post that causes an unexpected error is postponed, so that it does not delay the others.
        """
        try:
            self._serve(lease)
        except (DatabaseAway, Contended):
            raise
        except Exception:
            log.exception("a message could not be sent", destination=lease.destination_id)
            self._put_off(lease)

    def _put_off(self, lease: Lease) -> None:
        with self._store.write() as tx:
            target = destinations.lock_target(tx, lease, self._now())
            if target is None:
                return
            post = self._next_post(tx, lease)
            if post is not None:
                posts.postpone_post(tx, post, self._pace.defect_s, self._now())
            destinations.release_destination(tx, target, self._now(), failures=target.failures)

    def _next_post(self, tx: Connection, lease: Lease) -> Post | None:
        now = self._now()
        patience = timedelta(seconds=self._pace.patience_s)
        overdue = now - patience if lease.number % self._pace.overdue_turn == 0 else None
        return posts.find_next_post(tx, lease.destination_id, now, overdue)

    def _serve(self, lease: Lease) -> None:
        with tracing.span("delivery send", workspace=lease.workspace_id, destination=lease.destination_id) as span:
            self._serve_next(lease, span)

    def _serve_next(self, lease: Lease, span: tracing.Span) -> None:
        delivery = self._prepare(lease)
        if delivery is None:
            return
        span.set(kind=delivery.post.kind, post=delivery.post.id)
        if not self._checks.is_known(delivery.target):
            if not self._checks.ask(lease, delivery.target, delivery.post):
                return
            delivery = self._prepare(lease, asked=True)
        if delivery is None:
            return
        if delivery.search:
            self._recovery.search(lease, delivery.target, delivery.post)
        elif delivery.show is not None:
            self._send(lease, delivery, delivery.show)
        else:
            self._release(lease)

    def _prepare(self, lease: Lease, *, asked: bool = False) -> Delivery | None:
        """Chooses and renders the next post, and records that sending begins; None if there is nothing to send.

        `asked`: Slack was asked about the destination just now, so the age of its data is not checked.
        """
        with self._store.write() as tx:
            target = destinations.lock_target(tx, lease, self._now())
            if target is None:
                return None
            while True:
                post = self._next_post(tx, lease)
                if post is None:
                    destinations.release_destination(tx, target, self._now(), failures=target.failures)
                    return None
                if isinstance(post, UnknownPost):
                    log_unknown_post(post)
                    posts.postpone_post(tx, post, UNKNOWN_WAIT_S, self._now())
                    continue
                if not self._checks.is_known(target, asked=asked):
                    return Delivery(target, post)
                earlier = posts.find_earlier_post(tx, post, target, self._now())
                if earlier is not None and earlier.due_in_s <= 0:
                    post = earlier
                elif earlier is not None and self._is_searched_for(earlier, target):
                    posts.postpone_post(tx, post, earlier.due_in_s, self._now())
                    continue
                if post.begun_at is not None:
                    left = self._searchable_at(post, post.begun_at) - self._slack_now(target)
                    if left > 0:
                        # It is due by the database's clock, but by Slack's clock the message may still arrive.
                        posts.postpone_post(tx, post, left, self._now())
                        continue
                    return Delivery(target, post, search=True)
                if target.channel_id is not None and target.is_shared and not target.shared_allowed:
                    delivery_failures.fail_destination(
                        tx, target, SHARED, self._pace.post_s, self._now(), ask_again=False
                    )
                    return None
                delivery = self._render(tx, target, post)
                if delivery is not None:
                    return delivery

    def _render(self, tx: Connection, target: Target, post: KnownPost) -> Delivery | None:
        """Renders a post; None if nothing has to be sent for it now."""
        installation = self._clients[target.workspace_id].installation
        rendered = render(tx, post, target, installation, self._now(), self._render_digest)
        if isinstance(rendered, NotYet):
            posts.postpone_post(tx, post, rendered.seconds, self._now())
            return None
        if isinstance(rendered, Drop):
            posts.mark_delivered(
                tx,
                post,
                self._now(),
                ts=post.ts,
                drawn_hash=post.drawn_hash,
                done=not post.kind.is_lasting if post.ts is None else post.kind is PostKind.OLDER,
            )
            return None
        if post.ts is None:
            posts.mark_sending(
                tx,
                post,
                target,
                self._now(),
                slack_now=self._slack_now(target),
                settles_in_s=self._pace.settles_s,
            )
            return Delivery(target, post, rendered)
        if isinstance(rendered, Show) and rendered.fingerprint == post.drawn_hash:
            posts.mark_delivered(tx, post, self._now(), ts=post.ts, drawn_hash=post.drawn_hash, done=rendered.final)
            return None
        return Delivery(target, post, rendered) if self._take_slot(tx, target, post) else None

    def _take_slot(self, tx: Connection, target: Target, post: KnownPost) -> bool:
        """Takes a call of chat.update for a post; returns False if the post must wait for it."""
        now, burst = self._now(), self._pace.update_burst
        hurried = post.urgency < Urgency.NEWS
        if hurried and post.has_slot:
            return True
        if hurried:
            wait = pacing.take_slot(tx, target.workspace_id, _UPDATE, self._pace.update_s, burst, now)
        else:
            wait = 0.0
            if not post.has_slot:
                wait = pacing.take_slot(
                    tx, target.workspace_id, _NEWS_UPDATE, self._pace.news_update_s, burst, now, behind=_UPDATE
                )
            if wait <= 0:  # it counts among all calls, but does not wait for those that were reserved meanwhile
                pacing.take_slot(tx, target.workspace_id, _UPDATE, self._pace.update_s, burst, now)
        if wait > 0:
            pacing.assign_slot(tx, post, wait, now)
        return wait <= 0

    def _searchable_at(self, post: KnownPost, begun_at: float) -> float:
        """Returns the time by Slack's clock, in seconds since the epoch, from which a search is conclusive."""
        return begun_at + self._pace.settles_s if post.searchable_at is None else post.searchable_at

    def _is_searched_for(self, post: KnownPost, target: Target) -> bool:
        """Returns whether the outcome of the post will be known soon. Later posts about its incident wait for it."""
        return post.begun_at is not None and self._slack_now(target) - post.begun_at < self._pace.order_s

    def _slack_now(self, target: Target) -> float:
        """Returns the time by Slack's clock, in seconds since the epoch."""
        return self._clients[target.workspace_id].installation.clock.now()

    def _release(self, lease: Lease) -> None:
        with self._store.write() as tx:
            target = destinations.lock_target(tx, lease, self._now())
            if target is not None:
                destinations.release_destination(tx, target, self._now(), failures=target.failures)

    def _send(self, lease: Lease, delivery: Delivery, show: Show | Remove) -> None:
        target, post = delivery.target, delivery.post
        client = self._clients[target.workspace_id]
        if post.ts is None:
            assert isinstance(show, Show)
            result = self._post(client, target, post, show)
        elif isinstance(show, Remove):
            result = api_calls.write(client, "chat.delete", channel=target.conversation, ts=post.ts)
        else:
            result = self._send_or_simplify(
                post,
                dict(show.message),
                lambda message: api_calls.write(
                    client, "chat.update", channel=target.conversation, ts=post.ts, **message
                ),
            )
        self._settlement.settle(lease, post, show, result)

    def _post(self, client: WorkspaceClient, target: Target, post: KnownPost, show: Show) -> Result:
        more = {"thread_ts": show.thread_ts} if show.thread_ts else {}

        def send(message: Mapping[str, Any]) -> Result:
            return api_calls.write(
                client,
                "chat.postMessage",
                channel=target.address,
                metadata=build_metadata(post),
                unfurl_links=False,
                unfurl_media=False,
                **more,
                **message,
            )

        result = self._send_or_simplify(post, dict(show.message), send)
        if isinstance(result, Refused) and result.error == "not_in_channel":
            joined = api_calls.read(client, "conversations.join", channel=target.channel_id)
            if isinstance(joined, Taken):
                result = self._send_or_simplify(post, dict(show.message), send)
        return result

    def _send_or_simplify(
        self, post: KnownPost, message: dict[str, Any], send: Callable[[Mapping[str, Any]], Result]
    ) -> Result:
        result = send(message)
        if isinstance(result, Refused) and result.error in api_calls.CONTENT_ERRORS:
            self._metrics.refused_blocks.inc()
            log.error("Slack refused the blocks of a message; it is sent as plain text", post=post.id, kind=post.kind,
                      error=result.error)  # fmt: skip
            result = send(strip_blocks(message))
        return result
