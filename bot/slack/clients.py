"""Web API clients, one for each workspace that the bot is installed in.

All code that calls Slack gets the client for a workspace from here. The workspace of SLACK_BOT_TOKEN is there from the
start; those of installations by OAuth come and go (`bot.installations.registry`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from slack_bolt.authorization import AuthorizeResult

from bot.metrics import SlackCallMetrics
from bot.slack.requests import Payload, find_false_claim
from bot.slack.slack_clock import SlackClock
from bot.slack.web_api import WebApi

# Less than the 2.5 seconds in which a request must be answered. Background work waits no longer either.
CALL_TIMEOUT_S = 2


@dataclass(frozen=True, slots=True)
class Installation:
    """The bot in one workspace."""

    workspace_id: str  # Slack's team id, "T…"
    bot_user_id: str  # "U…", by which people mention it
    bot_id: str | None  # "B…", the author of its messages
    client: WebApi
    authorization: AuthorizeResult
    clock: SlackClock
    app_id: str | None = None  # None: not known
    installation_id: str | None = None  # "T…" or "E…", where it is installed by OAuth

    def permalink(self, channel_id: str, ts: str, thread_ts: str | None = None) -> str:
        """The web address of a message; `thread_ts` where it stands in a thread."""
        workspace_url = (self.authorization.url or "https://slack.com/").rstrip("/")
        link = f"{workspace_url}/archives/{channel_id}/p{ts.replace('.', '')}"
        return f"{link}?thread_ts={thread_ts}&cid={channel_id}" if thread_ts and thread_ts != ts else link

    def find_false_claim(self, payload: Payload) -> str | None:
        """What a request to the workspace names that is not of this installation; None where all is."""
        return find_false_claim(payload, self.app_id, self.authorization.enterprise_id)


class Clients:
    """The installations, by workspace. Thread-safe: the whole table is replaced by each change."""

    def __init__(self, installations: Sequence[Installation] = ()) -> None:
        self._own = {found.workspace_id: found for found in installations}
        self._by_workspace: Mapping[str, Installation] = dict(self._own)
        self._unreadable: frozenset[str] = frozenset()
        # Called with a workspace that has no client, before its request is handled.
        self.on_missing: Callable[[str], None] | None = None

    @classmethod
    def connect(cls, bot_token: str, api_url: str, metrics: SlackCallMetrics | None = None) -> Clients:
        """Asks Slack which workspace the token is for. Raises SlackApiError, and OSError when Slack is away."""
        client = web_client(api_url, bot_token, metrics=metrics)
        clock, sent_at = SlackClock(), time.monotonic()
        answer = client.auth_test()
        clock.hear(answer.headers, sent_at)
        workspace_id, bot_user_id = str(answer["team_id"]), str(answer["user_id"])
        authorization = AuthorizeResult(
            enterprise_id=answer.get("enterprise_id"),
            team_id=workspace_id,
            team=answer.get("team"),
            url=answer.get("url"),
            bot_user_id=bot_user_id,
            bot_id=answer.get("bot_id"),
            bot_token=bot_token,
        )
        installation = Installation(workspace_id, bot_user_id, answer.get("bot_id"), client, authorization, clock)
        return cls([installation])

    def replace(self, installed: Mapping[str, Installation], unreadable: Collection[str] = ()) -> None:
        """Sets the installations by OAuth. The workspace of SLACK_BOT_TOKEN keeps its own.

        `unreadable` are the workspaces whose token TOCSIN_SECRET_KEY does not decrypt.
        """
        self._by_workspace = {**installed, **self._own}
        self._unreadable = frozenset(unreadable) - self._by_workspace.keys()

    def ensure(self, workspace_id: str) -> None:
        """Has an installation looked up that this process may not know yet."""
        if workspace_id and workspace_id not in self._by_workspace and self.on_missing is not None:
            self.on_missing(workspace_id)

    def find(self, workspace_id: str) -> Installation | None:
        """The installation in that workspace; None where there is none."""
        return self._by_workspace.get(workspace_id)

    def is_unreadable(self, workspace_id: str) -> bool:
        """Whether the app is installed in that workspace with a token that TOCSIN_SECRET_KEY does not decrypt."""
        return workspace_id in self._unreadable

    @property
    def all_unreadable(self) -> bool:
        """Whether there are installations, and TOCSIN_SECRET_KEY decrypts the token of none."""
        return bool(self._unreadable) and not self._by_workspace

    def all(self) -> list[Installation]:
        """Every installation."""
        return list(self._by_workspace.values())


def web_client(
    api_url: str,
    token: str | None = None,
    *,
    timeout_s: float = CALL_TIMEOUT_S,
    tries: int = 1,
    metrics: SlackCallMetrics | None = None,
    team_id: str | None = None,
) -> WebApi:
    """A client with the project's time-out. `tries`: attempts where Slack answers with a rate limit."""
    return WebApi(api_url, token, timeout_s=timeout_s, tries=tries, metrics=metrics, team_id=team_id)
