"""Stores texts that a form needs when it is submitted, and that are too long for its private metadata."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import Refusal
from storage.queries import form_texts


def save_text(tx: Connection, access: Access, text: str, now: datetime) -> int:
    """Stores a text for the caller for one day. Returns its id, for `get_text`."""
    return form_texts.insert_text(tx, access.organization_id, access.member_id, text, now)


def get_text(connection: Connection, access: Access, text_id: object) -> str:
    """The text with that id, if it was stored for the caller.

    `text_id` comes from the form and may be any JSON value. Raises Refusal if there is no such text.
    """
    known = text_id if isinstance(text_id, int) and 0 <= text_id < 2**63 else 0
    text = form_texts.find_text(connection, access.organization_id, access.member_id, known)
    if text is None:
        raise Refusal("I no longer have this message. Choose “Add to incident” in its menu again.")
    return text
