"""What Socket Mode and HTTP mode pass requests to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from slack_bolt import BoltResponse

from bot.slack.listeners import Headers
from bot.slack.requests import Payload


class Entry(Protocol):
    """The listeners of the bot, or what passes requests on to those of several cells."""

    def dispatch(self, body: Payload, headers: Headers | None = None) -> BoltResponse: ...

    def too_late(self, body: Payload, *, begun: bool) -> Mapping[str, Any] | None: ...

    def answer_late(self, body: Payload, message: Mapping[str, Any]) -> None: ...
