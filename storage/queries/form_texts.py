"""Texts that a form needs when it is submitted, and that are too long for its private metadata."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from storage.models import FormText

KEPT_FOR = timedelta(days=1)  # Slack closes a form that was left open long before


def keep_text(tx: Connection, organization_id: int, member_id: int, text: str, now: datetime) -> int:
    """Keeps a text for whoever opened a form; gives its id."""
    values = {"organization_id": organization_id, "member_id": member_id, "text": text, "date_added": now}
    return tx.scalars(insert(FormText).values(values).returning(FormText.id)).one()


def find_text(connection: Connection, organization_id: int, member_id: int, text_id: int) -> str | None:
    """The text of that id, where it was kept for this member."""
    return connection.scalars(
        select(FormText.text).where(
            FormText.organization_id == organization_id, FormText.id == text_id, FormText.member_id == member_id
        )
    ).first()


def forget_old_texts(connection: Connection, now: datetime) -> int:
    """Removes what no open form needs any more; gives how many rows that was."""
    return connection.execute(delete(FormText).where(FormText.date_added < now - KEPT_FOR)).rowcount
