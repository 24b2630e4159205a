"""How long to wait before Slack is asked again: longer each time, by chance, and never less than Slack says."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any
from urllib.error import URLError

from slack_sdk.errors import SlackApiError
from tenacity import RetryCallState, wait_exponential
from tenacity.wait import wait_base


class Backoff(wait_base):
    """Seconds, doubled each time up to the longest, of which chance takes up to a half: replicas come one by one."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._growing = wait_exponential(multiplier=first_s, max=longest_s)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        told_s = retry_after_s(error.response.headers) if isinstance(error, SlackApiError) else None
        return (told_s or 0.0) + self._growing(retry_state) * random.uniform(0.5, 1.0)


def retry_after_s(headers: Mapping[str, Any]) -> float | None:
    """What the header Retry-After of an answer says, in seconds; None where it says nothing that can be read."""
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    try:
        return max(0.0, float(given[0] if isinstance(given, list) else given))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def reason_of(error: BaseException | None) -> str:
    """Why Slack could not be reached, for a log line: Slack's own name for it, or what the system says."""
    if isinstance(error, SlackApiError):
        return str(error.response.get("error") or f"HTTP {error.response.status_code}")
    if isinstance(error, URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
