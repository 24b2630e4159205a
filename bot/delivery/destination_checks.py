"""Checks a destination before a message is sent: the Slack account of a person, the members of a channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bot.delivery import api_calls
from bot.delivery.api_calls import Limited, Refused, Result, Taken, WorkspaceClient
from bot.delivery.pace import Pace
from bot.delivery.settlement import Settlement
from bot.people.identity import Identity, SlackAway
from storage.engine import Store
from storage.queries import channels as stored_channels
from storage.queries import destinations, home_workspaces
from storage.queries.destinations import Target
from storage.queries.leases import Lease
from storage.queries.post_kinds import KnownPost

# A failure reason of Tocsin's own; the others are Slack's error codes.
NO_SUCH_PERSON = "no_such_person"
_NOT_FOUND = Refused("channel_not_found")


class DestinationChecks:
    """Asks Slack about people and channels. Several threads may share it."""

    def __init__(
        self,
        store: Store,
        clients: Mapping[str, WorkspaceClient],
        identity: Identity,
        settlement: Settlement,
        pace: Pace,
    ) -> None:
        self._store = store
        self._now = store.clock.now
        self._clients = clients
        self._identity = identity
        self._settlement = settlement
        self._pace = pace

    def is_known(self, target: Target, *, asked: bool = False) -> bool:
        """Returns whether enough is known to send there. `asked`: Slack was asked just now, so the age is ignored."""
        if target.channel_id is not None:
            return asked or self._channel_is_known(target)
        return (asked and target.user_id is not None) or self._person_is_known(target)

    def ask(self, lease: Lease, target: Target, post: KnownPost) -> bool:
        """Asks Slack about the destination of a post, and records the response.

        Returns False if nothing can be sent there now. Raises DatabaseAway, Contended.
        """
        return (
            self._find_person(lease, target) if target.channel_id is None else self._learn_channel(lease, target, post)
        )

    def _person_is_known(self, target: Target) -> bool:
        if target.member_id is None:
            return True
        if target.user_id is None:
            return False
        # A match from the organization file is trusted. Other matches are checked with Slack from time to time.
        fresh = target.checked_s_ago is not None and target.checked_s_ago < self._pace.known_person_s
        return target.by_file or fresh

    def _find_person(self, lease: Lease, target: Target) -> bool:
        """Finds the Slack id of a member. Returns False, and records the reason, if there is none now."""
        try:
            user_id = self._identity.find(target.workspace_id, target.member_id or 0, target.user_id, self._now())
        except SlackAway:
            with self._store.write() as tx:
                if destinations.lock_target(tx, lease, self._now()) is not None:
                    self._settlement.retry_later(tx, target, "person")
            return False
        if user_id is None and not self._move(lease, target, lambda one: self._has_person(one, target)):
            with self._store.write() as tx:
                if destinations.lock_target(tx, lease, self._now()) is not None:
                    self._settlement.fail(tx, target, NO_SUCH_PERSON)
        return user_id is not None

    def _move(self, lease: Lease, target: Target, is_there: Callable[[str], bool]) -> bool:
        """Moves a destination to the workspace of the organization in which it is. Returns False if there is none."""
        with self._store.read() as connection:
            others = home_workspaces.list_other_workspaces(connection, target.workspace_id)
        home = next((one for one in others if one in self._clients and is_there(one)), None)
        if home is None:
            return False
        with self._store.write() as tx:
            locked = destinations.lock_target(tx, lease, self._now())
            if locked is None or not home_workspaces.move_destination(tx, target.id, home):
                return False
            destinations.release_destination(tx, locked, self._now(), pause_s=0.0, failures=0)
        return True

    def _has_channel(self, workspace_id: str, target: Target) -> bool:
        result = api_calls.read(self._clients[workspace_id], "conversations.info", channel=target.channel_id)
        return isinstance(result, Taken)

    def _has_person(self, workspace_id: str, target: Target) -> bool:
        try:
            return self._identity.find(workspace_id, target.member_id or 0, None, self._now()) is not None
        except SlackAway:
            return False

    def _channel_is_known(self, target: Target) -> bool:
        age = target.checked_s_ago
        return age is not None and age < self._pace.known_channel_s and target.is_member is not None

    def _learn_channel(self, lease: Lease, target: Target, post: KnownPost) -> bool:
        """Asks Slack about a channel, and joins it if possible. Returns False if nothing can be sent there now."""
        client = self._clients[target.workspace_id]
        result = api_calls.read(client, "conversations.info", channel=target.channel_id)
        if result == _NOT_FOUND and self._move(lease, target, lambda one: self._has_channel(one, target)):
            return False  # it is due there at once
        if not isinstance(result, Taken):
            self._cannot_learn(lease, post, result)
            return False
        channel = result.answer["channel"]
        is_private, is_shared = bool(channel.get("is_private")), _is_shared(channel)
        is_member = bool(channel.get("is_member"))
        if channel.get("is_archived"):
            self._cannot_learn(lease, post, Refused("is_archived"))
            return False
        if not is_member and not is_private and (not is_shared or target.shared_allowed):
            # The bot may post without being a member, but then receives no events from the channel.
            is_member = isinstance(api_calls.read(client, "conversations.join", channel=target.channel_id), Taken)
        with self._store.write() as tx:
            if destinations.lock_target(tx, lease, self._now()) is None:
                return False
            stored_channels.record_channel(
                tx,
                target,
                name=str(channel.get("name") or ""),
                is_private=is_private,
                is_shared=is_shared,
                is_member=is_member,
                now=self._now(),
            )
        return True

    def _cannot_learn(self, lease: Lease, post: KnownPost, result: Result) -> None:
        with self._store.write() as tx:
            target = destinations.lock_target(tx, lease, self._now())
            if target is None:
                return
            match result:
                case Limited(seconds=seconds):
                    destinations.release_destination(tx, target, self._now(), pause_s=seconds, failures=target.failures)
                case Refused(error=error):
                    self._settlement.record_refused(tx, target, post, error)
                case _:
                    self._settlement.retry_later(tx, target, "channel")


def _is_shared(channel: Mapping[str, Any]) -> bool:
    """Returns whether another company can read the channel, or is invited to it."""
    return bool(channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"))
