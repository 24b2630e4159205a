"""Channels as audiences: whether somebody of another company reads along."""

from __future__ import annotations

import threading
import time

import structlog
from slack_sdk.errors import SlackApiError

from bot.incidents.access import Access
from bot.slack.clients import Clients

log = structlog.get_logger(__name__)

# A channel is rarely shared or unshared; when it is, this is how long that goes unnoticed.
KNOWN_FOR_S = 60.0


class Channels:
    """What Slack says of channels, kept for a moment."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._lock = threading.Lock()
        self._shared: dict[tuple[str, str], tuple[float, bool]] = {}

    def may_show(self, access: Access, channel_id: str) -> bool:
        """Whether incidents may be shown in the channel; where Slack cannot tell, they may not."""
        return access.shared_channels or not self.shared_outside(access.workspace_id, channel_id)

    def shared_outside(self, workspace_id: str, channel_id: str) -> bool:
        """Whether another company is in the channel, or is invited to it; True where Slack cannot tell."""
        key = (workspace_id, channel_id)
        with self._lock:
            known = self._shared.get(key)
        if known and time.monotonic() - known[0] < KNOWN_FOR_S:
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
