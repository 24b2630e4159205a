"""Intake tokens: how they are made and stored."""

from __future__ import annotations

import hashlib
import secrets
from enum import StrEnum

# People and scanners recognize a leaked token by it, and `bot.log` hides what begins with it.
TOKEN_PREFIX = "tocsin_"
TOKEN_BYTES = 32


class Source(StrEnum):
    """A kind of system that posts alerts."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    EVENTS = "events"
    SENTRY = "sentry"


def new_token() -> str:
    """A random token."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """The hash under which a token is stored. Tokens are long and random, so one SHA-256 is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
