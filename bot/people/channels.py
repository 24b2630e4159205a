"""Who reads a channel: whether another company does, and whether the bot can post there."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from slack_sdk.errors import SlackApiError
from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import Refusal
from bot.slack.backoff import reason_of
from bot.slack.clients import Clients
from storage.queries import channels as stored_channels
from storage.queries import delivery_failures, home_workspaces
from storage.reading import Reading

log = structlog.get_logger(__name__)

# How long an answer of Slack about sharing is cached. Slack reports changes with an event (`channel_shared`), to one of
# the replicas. It reports nothing about an invitation that is not accepted yet.
CACHED_FOR_S = 60.0
# Slack's errors that say that the bot works with no such channel in a workspace. Others say nothing about the channel.
_NOT_THERE = frozenset(
    {"channel_not_found", "account_inactive", "invalid_auth", "team_access_not_granted", "token_revoked"}
)
DIRECT_MESSAGE = "Digests are posted in channels, not in direct messages. Type this in a channel."


class CannotPost(Refusal):
    """The bot cannot post in a channel. The sentence says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that the bot is in."""

    id: str
    name: str
    private: bool
    shared: bool  # with another company


class Channels:
    """What Slack says about channels, cached for CACHED_FOR_S seconds."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._lock = threading.Lock()
        self._shared: dict[tuple[str, str], tuple[float, bool]] = {}

    def forget(self, workspace_id: str, channel_id: str) -> None:
        """Drops a channel from the cache."""
        with self._lock:
            self._shared.pop((workspace_id, channel_id), None)

    def is_shared_externally(self, workspace_id: str, channel_id: str) -> bool:
        """Whether another company is in the channel or invited to it; True where Slack cannot tell."""
        key = (workspace_id, channel_id)
        with self._lock:
            known = self._shared.get(key)
        if known and time.monotonic() - known[0] < CACHED_FOR_S:
            return known[1]
        installation = self._clients.find(workspace_id)
        if installation is None:
            return True
        try:
            channel = installation.client.conversations_info(channel=channel_id)["channel"]
        except (SlackApiError, OSError) as error:
            log.warning("a channel could not be looked up", channel=channel_id, error=str(error))
            return True
        shared = bool(channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"))
        with self._lock:
            self._shared[key] = (time.monotonic(), shared)
        return shared

    def may_show_incidents(self, reading: Reading, access: Access, channel_id: str) -> bool:
        """Whether incidents may be shown to everybody in a channel; False where Slack cannot tell.

        The connection of `reading` is returned to the pool, because Slack may be asked.
        """
        if access.shared_channels:
            return True
        if stored_channels.is_channel_shared(reading.connection, access.workspace_id, channel_id):
            return False
        reading.give_back()
        return not self.is_shared_externally(access.workspace_id, channel_id)

    def record_shared(self, tx: Connection, workspace_id: str, channel_id: str, shared: bool, now: datetime) -> None:
        """Stores whether another company reads a channel. Where none does any more, delivery to it is tried again."""
        self.forget(workspace_id, channel_id)
        stored_channels.record_shared(tx, workspace_id, channel_id, shared, now)
        if not shared:
            record_open(tx, workspace_id, channel_id, now)

    def get_postable(self, workspace_id: str, channel_id: str) -> Channel:
        """The channel, if the bot can post there. Raises CannotPost."""
        installation = self._clients.find(workspace_id)
        if installation is None:
            raise CannotPost("I am no longer in this workspace.")
        if channel_id.startswith("D"):  # The bot has no scope to ask about these.
            raise CannotPost(DIRECT_MESSAGE)
        invite = "Invite me there with `/invite @Tocsin`, then try again."
        try:
            found = installation.client.conversations_info(channel=channel_id)["channel"]
        except SlackApiError as error:
            reason = str(error.response.get("error"))
            if reason == "channel_not_found":
                raise CannotPost(f"I am not in that channel. {invite}") from None
            log.warning("a channel could not be looked up", channel=channel_id, error=reason)
            raise CannotPost(f"Slack does not show me that channel ({reason}).") from None
        except OSError as error:
            log.warning("Slack could not be reached", method="conversations.info", error=str(error))
            raise CannotPost("Slack did not answer when I looked up that channel. Try again in a moment.") from None
        if found.get("is_mpim"):
            raise CannotPost(DIRECT_MESSAGE)
        name = str(found.get("name") or channel_id)
        if found.get("is_archived"):
            raise CannotPost(f"#{name} is archived.")
        if not found.get("is_member"):
            raise CannotPost(f"I am not in #{name}. {invite}")
        shared = bool(found.get("is_ext_shared") or found.get("is_pending_ext_shared"))
        return Channel(str(found["id"]), name, bool(found.get("is_private")), shared)


def find_workspace(clients: Clients, channel_id: str, workspaces: Sequence[str]) -> str | None:
    """The first of the workspaces in which Slack shows the bot this channel.

    None where it does in none, or where one did not say whether it does.
    """
    for workspace_id in workspaces:
        installation = clients.find(workspace_id)
        if installation is None:
            continue
        try:
            installation.client.conversations_info(channel=channel_id)
        except SlackApiError as error:
            if reason_of(error) in _NOT_THERE:
                continue
            log.warning("a channel could not be looked up", channel=channel_id, error=reason_of(error))
            return None
        except OSError as error:
            log.warning("a channel could not be looked up", channel=channel_id, error=str(error))
            return None
        return workspace_id
    return None


def record_left(tx: Connection, workspace_id: str, channel_id: str) -> None:
    """Stores that the bot left a channel: Slack is asked about it before the next post there."""
    stored_channels.expire_channel(tx, workspace_id, channel_id)


def record_open(tx: Connection, workspace_id: str, channel_id: str, now: datetime) -> None:
    """Stores that a channel takes messages again: what could not be posted there is due."""
    home_workspaces.claim_channel(tx, workspace_id, channel_id)
    delivery_failures.recover_channel(tx, workspace_id, channel_id, now)
