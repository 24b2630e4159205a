"""What the bot is run with while it is measured."""

from __future__ import annotations

import os

from sandbox import Sandbox


def of_bot(slack: Sandbox, url: str, port: int = 0) -> dict[str, str]:
    """The environment of `serve` in that workspace and on that database; `port` is its HTTP's, 0 for any."""
    return {
        **os.environ,
        "DATABASE_URL": url,
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "HTTP_PORT": str(port),
        "LOG_LEVEL": "error",
    }
