"""Serves leased destinations: chooses the post that is due, renders it and sends it to Slack.

Nothing is sent inside a transaction. The start of a posting is recorded before the call to Slack, and its outcome after
it (`settlement`). Until then the outcome is unknown: before the message is posted again, the conversation is searched
for the id in the message's metadata (`recovery`). An update may be made twice and needs no search.

The start is recorded for many destinations in one transaction, of which each has at most one message in it. What takes
longer is done for one destination by itself, so that the others do not wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from typing import Any

import structlog
from sqlalchemy import Connection

from bot import tracing
from bot.delivery import api_calls
from bot.delivery.api_calls import Refused, Result, Taken, Unreached, WorkspaceClient
from bot.delivery.destination_checks import DestinationChecks
from bot.delivery.message_metadata import build_metadata
from bot.delivery.metrics import DeliveryMetrics
from bot.delivery.order import find_wait
from bot.delivery.pace import Pace
from bot.delivery.recovery import Recovery
from bot.delivery.rendered import Drop, NotYet, Remove, Show
from bot.delivery.rendering import SHARED, UNKNOWN_WAIT_S, RenderDigest, log_unknown_post, render
from bot.delivery.settlement import Outcome, Settlement
from bot.messages.card import strip_blocks
from bot.people.identity import Identity
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import delivery_failures, destinations, pacing, posts
from storage.queries.destinations import Release, Target
from storage.queries.leases import Lease
from storage.queries.post_kinds import KnownPost, Post, UnknownPost
from storage.queries.posts import Attempt, Delivered
from storage.values import PostKind, Urgency

log = structlog.get_logger(__name__)

# The names under which calls of chat.update are reserved: all of them, and those that nobody waits for.
_UPDATE = "chat.update"
_NEWS_UPDATE = "chat.update of news"
_TOO_LATE = "the call would have begun too late"


class _Choice(Enum):
    """Nothing is sent for a post now."""

    ANOTHER = auto()  # another post of the destination may be due
    NONE = auto()  # the destination is released


@dataclass(frozen=True, slots=True)
class Delivery:
    """The work to do outside a transaction for a post and its target."""

    lease: Lease
    target: Target
    post: KnownPost
    show: Show | Remove | None = None  # None: Slack must be asked about the target first, or searched for the message
    search: bool = False  # whether to search for the message before it is posted again
    begun: float = 0.0  # when it was recorded that its posting begins, on the monotonic clock


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
        self.settlement = Settlement(store, clients, pace, metrics)
        self._recovery = Recovery(store, clients, self.settlement, pace, metrics)
        self._checks = DestinationChecks(store, clients, identity, self.settlement, pace)

    def begin(self, leases: Sequence[Lease]) -> tuple[list[Delivery], list[Lease]]:
        """Chooses and renders the next post of many destinations, and records in one transaction that sending begins.

        Returns what is to be sent, and the destinations that must be served one by one: what there is to do for them
        takes longer, or another transaction has locked them, or the transaction failed. Destinations with nothing to
        send are released.
        """
        try:
            with tracing.span("delivery begin", destinations=len(leases)), self._store.write() as tx:
                targets = destinations.lock_free_targets(tx, leases, self._now())
                begun, again = self._choose_posts(tx, targets)
                self._record_begun(tx, begun)
        except Exception as error:
            log.warning("messages are begun one by one", count=len(leases), error=str(error.__cause__ or error))
            return [], list(leases)
        ready = [one for one in begun if one.show is not None]
        others = [one.lease for one in begun if one.show is None]
        return ready, [*others, *again, *(lease for lease in leases if lease not in targets)]

    def serve(self, lease: Lease) -> Outcome | None:
        """Handles the next post that is due at a destination. Returns the outcome if it was sent, to be settled.

        Otherwise the destination is released. A post that causes an unexpected error is postponed, so that it does not
        delay the others. Raises DatabaseAway, Contended.
        """
        begun: KnownPost | None = None
        try:
            delivery = self._find_delivery(lease)
            if delivery is None:
                return None
            begun = delivery.post
            return self.send(delivery)
        except (DatabaseAway, Contended):
            raise
        except Exception:
            self.put_off(lease, begun)
            return None

    def put_off(self, lease: Lease, begun: KnownPost | None = None) -> None:
        """Postpones a post after an unexpected error, and logs it: the one that is `begun`, or else would be next.

        Raises DatabaseAway, Contended.
        """
        log.exception("a message could not be sent", destination=lease.destination_id)
        with self._store.write() as tx:
            target = destinations.lock_target(tx, lease, self._now())
            if target is None:
                return
            post = begun or self._find_first(tx, lease)
            if post is not None:
                posts.postpone_post(tx, post, self._pace.defect_s, self._now())
            destinations.release_destination(tx, target, self._now(), failures=target.failures)

    def _find_first(self, tx: Connection, lease: Lease) -> Post | None:
        """Returns the post of the destination that is tried next."""
        found = self._find_next_posts(tx, [lease])
        earlier = posts.find_earlier_posts(tx, found.values(), self._now())
        return next((one for one in (*earlier.values(), *found.values()) if one.due_in_s <= 0), None)

    def _find_next_posts(self, tx: Connection, leases: Collection[Lease]) -> dict[int, Post]:
        now = self._now()
        fair = [lease.destination_id for lease in leases if lease.number % self._pace.overdue_turn == 0]
        overdue = now - timedelta(seconds=self._pace.patience_s)
        return posts.find_next_posts(tx, [lease.destination_id for lease in leases], now, overdue=overdue, fair=fair)

    def _find_delivery(self, lease: Lease) -> Delivery | None:
        """Asks Slack what must be known first. Returns what is to be sent; None if the destination was released."""
        delivery = self._prepare(lease)
        if delivery is None:
            return None
        if not self._checks.is_known(delivery.target):
            with _span("delivery ask", delivery):
                known = self._checks.ask(lease, delivery.target, delivery.post)
            if not known:
                return None
            delivery = self._prepare(lease, asked=True)
        if delivery is None:
            return None
        if delivery.search:
            with _span("delivery search", delivery):
                self._recovery.search(lease, delivery.target, delivery.post)
        elif delivery.show is not None:
            return delivery
        else:
            self._release(lease)
        return None

    def _prepare(self, lease: Lease, *, asked: bool = False) -> Delivery | None:
        """Chooses and renders the next post, and records that sending begins; None if there is nothing to send.

        `asked`: Slack was asked about the destination just now, so the age of its data is not checked.
        """
        with tracing.span("delivery begin", destinations=1), self._store.write() as tx:
            target = destinations.lock_target(tx, lease, self._now())
            if target is None:
                return None
            again = [lease]
            begun: list[Delivery] = []
            while again:
                begun, again = self._choose_posts(tx, {lease: target}, asked=asked, alone=True)
            self._record_begun(tx, begun)
            return begun[0] if begun else None

    def _choose_posts(
        self, tx: Connection, targets: Mapping[Lease, Target], *, asked: bool = False, alone: bool = False
    ) -> tuple[list[Delivery], list[Lease]]:
        """Chooses and renders a post of each destination, and releases the destinations without one.

        Also returns the destinations of which another post must be chosen: nothing has to be sent for this one now. The
        same for updates, except of one destination `alone`: each needs a call slot of its workspace, whose row other
        transactions lock too.
        """
        found = self._find_next_posts(tx, targets)
        earlier = posts.find_earlier_posts(tx, found.values(), self._now())
        chosen: list[Delivery] = []
        again: list[Lease] = []
        for lease, target in targets.items():
            post = found.get(lease.destination_id)
            if post is None:
                continue
            if post.ts is not None and not alone:
                again.append(lease)
                continue
            delivery = self._choose(tx, lease, target, post, earlier.get(post.id), asked=asked)
            if isinstance(delivery, Delivery):
                chosen.append(delivery)
            elif delivery is _Choice.ANOTHER:
                again.append(lease)
        now = self._now()
        empty = [target for lease, target in targets.items() if lease.destination_id not in found]
        destinations.release_destinations(tx, [Release(one, failures=one.failures) for one in empty], now)
        return chosen, again

    def _choose(
        self,
        tx: Connection,
        lease: Lease,
        target: Target,
        post: Post,
        earlier: KnownPost | None,
        *,
        asked: bool,
    ) -> Delivery | _Choice:
        """Decides what is done about a post, or an earlier one that goes before it."""
        if isinstance(post, UnknownPost):
            log_unknown_post(post)
            posts.postpone_post(tx, post, UNKNOWN_WAIT_S, self._now())
            return _Choice.ANOTHER
        if not self._checks.is_known(target, asked=asked):
            return Delivery(lease, target, post)
        if earlier is not None and earlier.due_in_s <= 0:
            post = earlier
        elif earlier is not None and (wait_s := find_wait(earlier, self._pace, self._slack_now(target))) > 0:
            posts.postpone_post(tx, post, wait_s, self._now())
            return _Choice.ANOTHER
        if post.begun_at is not None:
            left = self._searchable_at(post, post.begun_at) - self._slack_now(target)
            if left > 0:
                # It is due by the database's clock, but by Slack's clock the message may still arrive.
                posts.postpone_post(tx, post, left, self._now())
                return _Choice.ANOTHER
            return Delivery(lease, target, post, search=True)
        if target.channel_id is not None and target.is_shared and not target.shared_allowed:
            delivery_failures.fail_destination(tx, target, SHARED, self._pace.post_s, self._now(), ask_again=False)
            return _Choice.NONE
        show = self._render(tx, target, post)
        return _Choice.ANOTHER if show is None else Delivery(lease, target, post, show)

    def _record_begun(self, tx: Connection, deliveries: list[Delivery]) -> None:
        """Records that the posting of messages begins, last in the transaction: their calls must begin soon after."""
        begun = time.monotonic()
        attempts = []
        for number, one in enumerate(deliveries):
            if one.show is not None and one.post.ts is None:
                attempts.append(
                    Attempt(one.post.organization_id, one.post.id, self._slack_now(one.target), one.target.last_ts)
                )
                deliveries[number] = replace(one, begun=begun)
        posts.mark_sending(tx, attempts, self._now(), settles_in_s=self._pace.settles_s)

    def _render(self, tx: Connection, target: Target, post: KnownPost) -> Show | Remove | None:
        """Renders a post; None if nothing has to be sent for it now."""
        installation = self._clients[target.workspace_id].installation
        rendered = render(tx, post, target, installation, self._now(), self._render_digest)
        if isinstance(rendered, NotYet):
            posts.postpone_post(tx, post, rendered.seconds, self._now())
            return None
        if isinstance(rendered, Drop):
            done = not post.kind.is_lasting if post.ts is None else post.kind is PostKind.OLDER
            dropped = Delivered(post, post.ts, drawn_hash=post.drawn_hash, done=done)
            posts.mark_delivered(tx, [dropped], self._now())
            return None
        if post.ts is None:
            return rendered
        if isinstance(rendered, Show) and rendered.fingerprint == post.drawn_hash:
            unchanged = Delivered(post, post.ts, drawn_hash=post.drawn_hash, done=rendered.final)
            posts.mark_delivered(tx, [unchanged], self._now())
            return None
        return rendered if self._take_slot(tx, target, post) else None

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

    def _slack_now(self, target: Target) -> float:
        """Returns the time by Slack's clock, in seconds since the epoch."""
        return self._clients[target.workspace_id].installation.clock.now()

    def _release(self, lease: Lease) -> None:
        with self._store.write() as tx:
            target = destinations.lock_target(tx, lease, self._now())
            if target is not None:
                destinations.release_destination(tx, target, self._now(), failures=target.failures)

    def send(self, delivery: Delivery) -> Outcome:
        """Calls Slack, and returns the outcome, which must be settled."""
        with _span("delivery send", delivery):
            return Outcome(delivery.lease, delivery.post, delivery.show, self._call(delivery))

    def _call(self, delivery: Delivery) -> Result:
        target, post, show = delivery.target, delivery.post, delivery.show
        client = self._clients[target.workspace_id]
        if post.ts is None:
            assert isinstance(show, Show)
            return self._post(client, target, post, show) if self._is_in_time(delivery) else Unreached(_TOO_LATE)
        if isinstance(show, Remove):
            return api_calls.write(client, "chat.delete", channel=target.conversation, ts=post.ts)
        assert isinstance(show, Show)
        return self._send_or_simplify(
            post,
            dict(show.message),
            lambda message: api_calls.write(client, "chat.update", channel=target.conversation, ts=post.ts, **message),
        )

    def _is_in_time(self, delivery: Delivery) -> bool:
        """Returns False if the process was stopped for so long that others may already search for the message."""
        return time.monotonic() - delivery.begun <= self._pace.start_s

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


@contextmanager
def _span(name: str, delivery: Delivery) -> Iterator[None]:
    lease = delivery.lease
    post = delivery.post
    links = [post.traceparent]
    with tracing.span(name, links=links, workspace=lease.workspace_id, destination=lease.destination_id) as span:
        span.set(kind=post.kind, post=post.id)
        yield
