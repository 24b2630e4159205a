"""The severities of an incident, by the words for them in commands, forms and alerts.

The severity of an open incident is its status. The names that people read are in `bot.messages.incident`.
"""

from __future__ import annotations

from collections.abc import Mapping

from storage.values import Status

# From the mildest to the worst.
SEVERITIES: Mapping[str, Status] = {"open": Status.OPEN, "warning": Status.WARNING, "critical": Status.CRITICAL}
WORST_FIRST = (Status.CRITICAL, Status.WARNING, Status.OPEN)
