"""What is to become of a post: values that `rendering` returns and `sender` carries out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Show:
    """Post this message, or replace the posted message with it."""

    message: Mapping[str, Any]
    thread_ts: str | None = None
    final: bool = False  # whether it is not expected to change again, so that its post may be forgotten after a while

    @property
    def fingerprint(self) -> str:
        """A hash of the message: equal messages have equal fingerprints."""
        return hashlib.sha256(json.dumps(self.message, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the posted message."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Send nothing. A message that is already posted stays."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """Try again after `seconds`."""

    seconds: float


Rendered = Show | Remove | Drop | NotYet
