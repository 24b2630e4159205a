"""Signed values that pass through somebody's browser: the links with which owners have workspaces installed, and the
states of authorizations. Nobody else can make them, and they expire.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from slack_sdk.oauth import OAuthStateStore

from bot.secret_box import Purpose, SecretBox, SecretUnreadable
from storage.engine import Store
from storage.queries import installations as queries

INVITATION_VALID_FOR = timedelta(hours=24)
STATE_VALID_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Invitation:
    """An owner's wish that a workspace be installed for their organization."""

    organization_id: int
    member_id: int
    workspace_id: str  # where the owner has asked for the link, and is told what became of it
    user_id: str


class Invitations:
    """Makes and reads invitations."""

    def __init__(self, secret_keys: str) -> None:
        self._box = SecretBox(secret_keys, Purpose.INVITATIONS)

    def write(self, invitation: Invitation, now: datetime) -> str:
        """The invitation as a word for a link."""
        return _seal(self._box, asdict(invitation), now + INVITATION_VALID_FOR)

    def read(self, word: str, now: datetime) -> Invitation | None:
        """The invitation of a link; None if it is none, or has expired."""
        try:
            return Invitation(**_open(self._box, word, now))
        except SecretUnreadable:
            return None


class StateStore(OAuthStateStore):
    """States of authorizations: signed, good for ten minutes and for once."""

    def __init__(self, store: Store, secret_keys: str) -> None:
        self._store = store
        self._box = SecretBox(secret_keys, Purpose.STATES)

    @property
    def logger(self) -> logging.Logger:
        """The logger of the interface."""
        return logging.getLogger("slack_bolt")

    def issue(self, invitation: str = "") -> str:
        """A new state. It carries the word of an invitation."""
        return _seal(self._box, [secrets.token_hex(16), invitation], self._store.clock.now() + STATE_VALID_FOR)

    def get_invitation(self, state: str) -> str:
        """The word of the invitation in a state; empty where there is none, or the state is none."""
        try:
            _, invitation = _open(self._box, state, self._store.clock.now())
        except SecretUnreadable:
            return ""
        return str(invitation)

    def consume(self, state: str) -> bool:
        """Uses a state. Returns False if it is none, has expired, or was used before. Raises DatabaseAway."""
        now = self._store.clock.now()
        try:
            _open(self._box, state, now)
        except SecretUnreadable:
            return False
        hashed = hashlib.sha256(state.encode()).hexdigest()
        with self._store.write() as tx:
            return queries.use_state(tx, hashed, None, now + STATE_VALID_FOR, now)


def _seal(box: SecretBox, value: Any, expires: datetime) -> str:
    """A value as a word for a URL, until a time. It is the store's time, which the timestamp of Fernet is not."""
    return box.seal(json.dumps([expires.timestamp(), value])).rstrip("=")


def _open(box: SecretBox, word: str, now: datetime) -> Any:
    """The value in a word. Raises SecretUnreadable if it is none, or has expired."""
    expires, value = json.loads(box.open(word + "=" * (-len(word) % 4)))
    if now.timestamp() >= expires:
        raise SecretUnreadable
    return value
