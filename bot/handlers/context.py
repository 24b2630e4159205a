"""What every handler gets: the caller, what they may see, the time, and the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from bot.incidents.idempotency import record_request
from bot.incidents.markup import require_storable
from bot.installations.service import InstallationService
from bot.people.channels import Channels
from bot.people.identity import Identity
from bot.people.mentions import MentionReader
from bot.slack.clients import Clients
from storage.engine import Store
from storage.prefetch import Prefetch
from storage.reading import Reading


@dataclass(frozen=True, slots=True)
class Services:
    """What all handlers share."""

    store: Store
    identity: Identity
    channels: Channels
    clients: Clients
    command: str  # the slash command, "/incident"
    installations: InstallationService | None = None  # None: the bot cannot be installed in other workspaces


@dataclass(slots=True)
class Context:
    """One request of one member."""

    services: Services
    access: Access
    now: datetime
    reading: Reading  # closed when `write` starts
    once: str | None = None  # the key of a request that Slack may deliver twice (an event)
    prefetched: Prefetch | None = None  # what the verb's `prefetch` returned, after it was run

    @property
    def connection(self) -> Connection:
        """A connection in autocommit, for reading. Raises RuntimeError after `write` has started."""
        return self.reading.connection

    @contextmanager
    def write(self, once: str | None = None, *, in_one_message: bool = False) -> Iterator[Connection]:
        """The transaction of this request. It commits at the end of the block, and rolls back on an exception.

        The reading connection is closed first: a request never holds two. `once` is the key of a request that must not
        be carried out twice. `in_one_message`: the block calls one rule that sends the database one message, which is
        a transaction by itself. Raises AlreadyHandled where it has been, DatabaseAway and Contended.
        """
        self.reading.end()
        key = once or self.once
        with self.services.store.write(self.access.organization_id, in_one_message=in_one_message) as tx:
            if key is not None:
                record_request(tx, self.access.workspace_id, key, self.now)
            yield tx

    def channels(self) -> Channels:
        """What Slack says about channels. Returns the reading connection to the pool, because Slack may be asked."""
        self.reading.give_back()
        return self.services.channels

    def may_show_in(self, channel_id: str) -> bool:
        """Whether incidents may be shown to everybody in a channel; False where Slack cannot tell."""
        return self.services.channels.may_show_incidents(self.reading, self.access, channel_id)

    def permalink(self, channel_id: str, ts: str, thread_ts: str | None = None) -> str | None:
        """The address of a message, in a thread where `thread_ts` says so; None where the bot is not installed."""
        installation = self.services.clients.find(self.access.workspace_id)
        return installation.permalink(channel_id, ts, thread_ts) if installation else None

    def find_mentioned(self, user_id: str) -> tuple[int | None, str]:
        """The member that a Slack user is, or None, and the user's name in Slack, which is asked. Raises SlackAway."""
        return self.services.identity.find_member_of_user(self.reading, self.access.workspace_id, user_id, self.now)

    def read_text(self, text: str) -> CommentText:
        """A text that the caller typed, with its mentions resolved. Raises Refusal."""
        return self._mentions().text(require_storable(text))

    def read_rich_text(self, block: Mapping[str, Any]) -> CommentText:
        """A rich text block that the caller typed, with its mentions resolved. Raises Refusal."""
        return self._mentions().block(block)

    def _mentions(self) -> MentionReader:
        return MentionReader(self.services.identity, self.reading, self.access, self.now)
