"""Intake tokens and secrets: how they are made, what of them is kept, and how they are compared."""

from __future__ import annotations

import base64
import hashlib
import secrets
from enum import StrEnum

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# Lets people and scanners recognise a leaked token; `bot.log` hides what begins with it.
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
    """A kept secret cannot be decrypted: TOCSIN_SECRET_KEY is not the one that it was encrypted with."""


def new_token() -> str:
    """A token that nobody can guess."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """What is kept of a token. It is random and long, so one round of SHA-256 cannot be searched backwards."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class SecretBox:
    """Encrypts the secrets that have to stay readable, with a key made from TOCSIN_SECRET_KEY."""

    def __init__(self, secret_key: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tocsin intake secrets").derive(secret_key.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, secret: str) -> str:
        """The secret as it is stored."""
        return self._fernet.encrypt(secret.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """The secret again. Raises SecretUnreadable."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise SecretUnreadable from None
