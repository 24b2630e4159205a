"""Store texts that a form needs when it is submitted and that are too long for its private metadata."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select

from storage.models import FormText

KEPT_FOR = timedelta(days=1)  # longer than Slack leaves a form open


def insert_text(tx: Connection, organization_id: int, member_id: int, text: str, now: datetime) -> int:
    """Saves a text for the member who opened a form, and returns its id."""
    values = {"organization_id": organization_id, "member_id": member_id, "text": text, "date_added": now}
    return tx.scalars(insert(FormText).values(values).returning(FormText.id)).one()


def find_text(connection: Connection, organization_id: int, member_id: int, text_id: int) -> str | None:
    """Returns the text with this id, or None if it was not saved for this member."""
    return connection.scalars(
        select(FormText.text).where(
            FormText.organization_id == organization_id, FormText.id == text_id, FormText.member_id == member_id
        )
    ).first()


_DELETE_OLD = """
DELETE FROM form_text WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM form_text WHERE date_added < %(before)s
    ORDER BY date_added LIMIT %(most)s FOR UPDATE SKIP LOCKED
))
"""


def delete_old_texts(connection: Connection, before: datetime, most: int) -> int:
    """Deletes at most `most` texts that were saved before `before`, and returns how many."""
    return connection.exec_driver_sql(_DELETE_OLD, {"before": before, "most": most}).rowcount
