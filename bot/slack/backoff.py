"""Exponential backoff with jitter for calls to Slack. It never waits less than Slack's Retry-After."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from slack_sdk.errors import SlackApiError
from tenacity import RetryCallState, wait_exponential
from tenacity.wait import wait_base


class Backoff(wait_base):
    """Seconds to wait: doubled after each attempt up to `longest_s`, less up to a half at random.

    The random part keeps replicas from retrying together.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._exponential = wait_exponential(multiplier=first_s, max=longest_s)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        retry_s = retry_after_s(error.response.headers) if isinstance(error, SlackApiError) else None
        return (retry_s or 0.0) + self._exponential(retry_state) * random.uniform(0.5, 1.0)


def retry_after_s(headers: Mapping[str, Any]) -> float | None:
    """The header Retry-After in seconds; None where it is missing or cannot be parsed."""
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    try:
        return max(0.0, float(given[0] if isinstance(given, list) else given))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def reason_of(error: BaseException | None) -> str:
    """The reason of a failed call, for a log line: Slack's error code, or the message of the operating system."""
    if isinstance(error, SlackApiError):
        return str(error.response.get("error") or f"HTTP {error.response.status_code}")
    return str(error) or type(error).__name__
