"""Intake tokens and secrets: how they are made and stored."""

from __future__ import annotations

import base64
import hashlib
import secrets
from enum import StrEnum

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# People and scanners recognize a leaked token by it, and `bot.log` hides what begins with it.
TOKEN_PREFIX = "tocsin_"
TOKEN_BYTES = 32
# Sentry's client secrets have 64 characters; longer than this is something else.
SECRET_MAX_LENGTH = 1024


class Source(StrEnum):
    """A kind of system that posts alerts."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    EVENTS = "events"
    SENTRY = "sentry"


class SecretUnreadable(Exception):
    """A stored secret cannot be decrypted: it was encrypted with another TOCSIN_SECRET_KEY."""


def new_token() -> str:
    """A random token."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """The hash under which a token is stored. Tokens are long and random, so one SHA-256 is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class SecretBox:
    """Encrypts secrets that must stay readable, with a key derived from TOCSIN_SECRET_KEY."""

    def __init__(self, secret_key: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tocsin intake secrets").derive(secret_key.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, secret: str) -> str:
        """Encrypts a secret."""
        return self._fernet.encrypt(secret.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Decrypts a secret. Raises SecretUnreadable."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise SecretUnreadable from None
