"""Acknowledgements are entries of the log.

Those from before become entries too, with the time of the first acknowledgement. Whoever opened an incident has seen
it by that, without an entry. The version before leaves entries of this type out where people read, and writes none.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "activity01"
down_revision = "people02"
branch_labels = None
depends_on = None

_AT_ONCE = 1000  # acknowledgements in a transaction
_FILL = """
WITH batch AS (
  SELECT s.incident_id, s.member_id, s.first_seen FROM incident_seen s
  WHERE (s.incident_id, s.member_id) > (:incident_id, :member_id)
  ORDER BY s.incident_id, s.member_id LIMIT :at_once
), added AS (
  INSERT INTO incident_activity (incident_id, member_id, type, date_added)
  SELECT b.incident_id, b.member_id, 105, b.first_seen FROM batch b
  WHERE NOT EXISTS (SELECT FROM incident_activity a
                    WHERE a.incident_id = b.incident_id AND a.date_deleted IS NULL AND a.member_id = b.member_id
                      AND a.type IN (1, 105))
)
SELECT incident_id, member_id FROM batch ORDER BY incident_id DESC, member_id DESC LIMIT 1
"""


def upgrade() -> None:
    # Whoever wants to read the table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE incident_activity DROP CONSTRAINT IF EXISTS ck_incident_activity_type_known")
    op.execute("""
        ALTER TABLE incident_activity
        ADD CONSTRAINT ck_incident_activity_type_known CHECK (type IN (1, 2, 3, 4, 105)) NOT VALID
    """)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE incident_activity VALIDATE CONSTRAINT ck_incident_activity_type_known")
        _fill()


def _fill() -> None:
    """Adds the entries that are missing. A second run adds none twice."""
    connection = op.get_bind()
    done = {"incident_id": 0, "member_id": 0}
    while last := connection.execute(sa.text(_FILL), {**done, "at_once": _AT_ONCE}).mappings().first():
        done = dict(last)


def downgrade() -> None:
    op.execute("DELETE FROM incident_activity WHERE type = 105")
    op.execute("ALTER TABLE incident_activity DROP CONSTRAINT ck_incident_activity_type_known")
    op.create_check_constraint("type_known", "incident_activity", "type IN (1, 2, 3, 4)")
