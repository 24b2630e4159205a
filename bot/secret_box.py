"""Encrypts secrets that must stay readable, with keys derived from TOCSIN_SECRET_KEY.

The library is loaded when a key is first used: it takes 6 MB, and a bot in one workspace mostly has no such key.
"""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


class Purpose(StrEnum):
    """What a key is for. Each purpose has keys of its own: what one has encrypted, another cannot read."""

    INTAKE = "tocsin intake secrets"
    SLACK_TOKENS = "tocsin slack tokens"
    INVITATIONS = "tocsin invitations"
    STATES = "tocsin oauth states"


class SecretUnreadable(Exception):
    """A stored secret cannot be decrypted: it was encrypted with another TOCSIN_SECRET_KEY."""


def split_keys(secret_keys: str) -> list[str]:
    """The keys in TOCSIN_SECRET_KEY, which commas separate."""
    return [key.strip() for key in secret_keys.split(",")]


class SecretBox:
    """Encrypts and decrypts the secrets of one purpose.

    Of several keys, the first encrypts and all decrypt, so that a key can be replaced without a stop.
    """

    def __init__(self, secret_keys: str, purpose: Purpose = Purpose.INTAKE) -> None:
        from cryptography.fernet import MultiFernet

        fernets = [_derive(key, purpose) for key in split_keys(secret_keys)]
        self._first, self._all = fernets[0], MultiFernet(fernets)

    def seal(self, secret: str) -> str:
        """Encrypts a secret with the first key."""
        return self._all.encrypt(secret.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Decrypts a secret. Raises SecretUnreadable."""
        from cryptography.fernet import InvalidToken

        try:
            return self._all.decrypt(sealed).decode()
        except (InvalidToken, ValueError):
            raise SecretUnreadable from None

    def seal_again(self, sealed: str) -> str | None:
        """Encrypts a secret with the first key; None if it is already. Raises SecretUnreadable."""
        from cryptography.fernet import InvalidToken

        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            return self.seal(self.open(sealed))
        return None


def _derive(key: str, purpose: Purpose) -> Fernet:
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
