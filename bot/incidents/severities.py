"""The severities of an incident, by their names in commands, forms and alerts.

The severity of an open incident is its status. The names shown to people are in `bot.messages.incident`.
"""

from __future__ import annotations

from collections.abc import Mapping

from storage.values import Status

# From the least to the most severe.
SEVERITIES: Mapping[str, Status] = {"none": Status.OPEN, "warning": Status.WARNING, "critical": Status.CRITICAL}
WORST_FIRST = (Status.CRITICAL, Status.WARNING, Status.OPEN)


def find_severity(word: str) -> Status | None:
    """The severity that a word names, in upper or lower case; None for any other word. `open` is the same as `none`."""
    return Status.OPEN if word.lower() == "open" else SEVERITIES.get(word.lower())
