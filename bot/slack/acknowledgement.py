"""The acknowledgement of a request of Slack, which carries the answer where Slack allows that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from slack_bolt import BoltResponse


class Acknowledgement(BoltResponse):
    """The acknowledgement of a request. Its payload is a value, so that Socket Mode need not parse JSON again."""

    def __init__(self, payload: Mapping[str, Any] | None = None) -> None:
        super().__init__(status=200)
        self.payload = payload


def payload_of(response: BoltResponse) -> Mapping[str, Any] | None:
    """The payload of an acknowledgement; None where it is empty."""
    if isinstance(response, Acknowledgement):
        return response.payload
    return json.loads(response.body) if response.body.startswith("{") else None
