"""Searches a conversation for a message when it is unknown whether Slack posted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.delivery import api_calls
from bot.delivery.api_calls import Limited, Refused, Result, Taken, WorkspaceClient
from bot.delivery.message_metadata import is_message_of
from bot.delivery.metrics import DeliveryMetrics
from bot.delivery.pace import Pace
from bot.delivery.settlement import Outcome, Settlement
from storage.engine import Store
from storage.queries import destinations, pacing, posts
from storage.queries.destinations import Target
from storage.queries.leases import Lease
from storage.queries.post_kinds import KnownPost, ThreadPost

_HISTORY_PAGE = 100  # messages; some apps get at most 15 at a time from Slack
_PAGES_AT_ONCE = 3


class Recovery:
    """Finds out whether messages were posted. Several threads may share it."""

    def __init__(
        self,
        store: Store,
        clients: Mapping[str, WorkspaceClient],
        settlement: Settlement,
        pace: Pace,
        metrics: DeliveryMetrics,
    ) -> None:
        self._store = store
        self._now = store.clock.now
        self._clients = clients
        self._settlement = settlement
        self._pace = pace
        self._metrics = metrics

    def search(self, lease: Lease, target: Target, post: KnownPost) -> None:
        """Searches the destination for a post that may have been sent. If it was not, marks it to be sent again.

        A search that cannot be finished now continues at the next turn. Raises DatabaseAway, Contended.
        """
        client = self._clients[target.workspace_id]
        conversation = target.conversation
        if conversation is None:
            opened = api_calls.read(client, "conversations.open", users=target.user_id)
            if not isinstance(opened, Taken):
                self._continue_later(lease, target, post, opened)
                return
            conversation = str(opened.answer["channel"]["id"])
        to_ts = post.searched_to
        for _ in range(_PAGES_AT_ONCE):
            result = self._read_page(client, post, conversation, to_ts)
            if not isinstance(result, Taken):
                break
            messages = result.answer.get("messages") or []
            found = next((one for one in messages if is_message_of(one, post, client.installation)), None)
            if found is not None:
                self._metrics.unknown.labels("yes").inc()
                taken = Taken({"ts": found["ts"], "channel": conversation})
                self._settlement.settle(Outcome(lease, post, None, taken))
                return
            if not result.answer.get("has_more") or not messages:
                self._metrics.unknown.labels("no").inc()
                with self._store.write() as tx:
                    if destinations.lock_target(tx, lease, self._now()) is not None:
                        posts.mark_not_sent(tx, post, self._now())
                        destinations.release_destination(tx, target, self._now(), failures=target.failures)
                return
            to_ts = str(messages[-1]["ts"])
            with self._store.write() as tx:
                if destinations.lock_target(tx, lease, self._now()) is None:
                    return
                posts.mark_searched(tx, post, to_ts)
        else:
            result = Limited(0.0)
        self._continue_later(lease, target, post, result)

    def _read_page(self, client: WorkspaceClient, post: KnownPost, conversation: str, to_ts: str | None) -> Result:
        """Reads a page of the messages since the posting began, newest first (in a thread: oldest first)."""
        bounds: dict[str, Any] = {"include_all_metadata": True, "limit": _HISTORY_PAGE}
        if isinstance(post, ThreadPost):
            card_ts = self._find_card_ts(post)
            if card_ts is None:
                return Taken({"messages": []})
            if to_ts or post.after_ts:
                bounds["oldest"] = to_ts or post.after_ts
            return api_calls.read(client, "conversations.replies", channel=conversation, ts=card_ts, **bounds)
        if post.after_ts:
            bounds["oldest"] = post.after_ts
        if to_ts:
            bounds["latest"] = to_ts
        return api_calls.read(client, "conversations.history", channel=conversation, **bounds)

    def _find_card_ts(self, post: ThreadPost) -> str | None:
        with self._store.read() as connection:
            return posts.find_ts(connection, post.organization_id, post.card_id)

    def _continue_later(self, lease: Lease, target: Target, post: KnownPost, result: Result) -> None:
        """Schedules the rest of an unfinished search. The message is not sent before the search ends."""
        with self._store.write() as tx:
            if destinations.lock_target(tx, lease, self._now()) is None:
                return
            match result:
                case Limited(seconds=seconds):
                    posts.postpone_post(tx, post, seconds, self._now())
                    destinations.release_destination(tx, target, self._now(), failures=target.failures)
                case Refused(error=error) if error in api_calls.TOKEN_ERRORS:
                    posts.postpone_post(tx, post, self._pace.paused_s, self._now())
                    destinations.release_destination(tx, target, self._now(), failures=target.failures)
                    pacing.pause_workspace(tx, target.workspace_id, error, self._pace.paused_s, self._now())
                case Refused(error="thread_not_found"):
                    self._settlement.record_deleted(tx, target, post)
                case Refused(error=error):
                    self._settlement.record_refused(tx, target, post, error)
                case _:
                    self._settlement.retry_later(tx, target, "search")
