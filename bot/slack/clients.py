"""Web API clients, one for each workspace that the bot is installed in.

All code that calls Slack gets the client for a workspace from here. Only this module knows that there is one
workspace for now.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from slack_bolt.authorization import AuthorizeResult

from bot.metrics import SlackCallMetrics
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

    def permalink(self, channel_id: str, ts: str, thread_ts: str | None = None) -> str:
        """The web address of a message; `thread_ts` where it stands in a thread."""
        workspace_url = (self.authorization.url or "https://slack.com/").rstrip("/")
        link = f"{workspace_url}/archives/{channel_id}/p{ts.replace('.', '')}"
        return f"{link}?thread_ts={thread_ts}&cid={channel_id}" if thread_ts and thread_ts != ts else link


class Clients:
    """The installations, by workspace."""

    def __init__(self, installations: list[Installation]) -> None:
        self._by_workspace = {found.workspace_id: found for found in installations}

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

    def find(self, workspace_id: str) -> Installation | None:
        """The installation in that workspace; None where there is none."""
        return self._by_workspace.get(workspace_id)

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
) -> WebApi:
    """A client with the project's time-out. `tries`: attempts where Slack answers with a rate limit."""
    return WebApi(api_url, token, timeout_s=timeout_s, tries=tries, metrics=metrics)
