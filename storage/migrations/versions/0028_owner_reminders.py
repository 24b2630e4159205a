"""When owners are asked whether they are still on their incidents. The version before asks nobody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "reminders02"
down_revision = "storms01"
branch_labels = None
depends_on = None

_TYPES = "ck_incident_activity_type_known"
_KINDS = (
    "'card', 'mirror', 'amendment', 'notification', 'newest', 'older', 'digest', 'note', 'handoff', 'handoff_answer',"
    " 'call', 'storm', 'summary'"
)


def upgrade() -> None:
    if not sa.inspect(op.get_bind()).has_table("owner_reminder"):  # a run that was interrupted later has made it
        _create_table()
    # Whoever wants to read these tables waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute(f"ALTER TABLE incident_activity DROP CONSTRAINT IF EXISTS {_TYPES}")
    op.execute(f"""
        ALTER TABLE incident_activity
        ADD CONSTRAINT {_TYPES} CHECK (type IN (1, 2, 3, 4, 100, 101, 102, 105, 106, 107)) NOT VALID
    """)
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT IF EXISTS ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS}, 'reminder')) NOT VALID
    """)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE post VALIDATE CONSTRAINT ck_post_kind_known")
        op.execute(f"ALTER TABLE incident_activity VALIDATE CONSTRAINT {_TYPES}")


def _create_table() -> None:
    moment = TIMESTAMP(timezone=True)
    op.create_table(
        "owner_reminder",
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE")),
        sa.Column("incident_id", sa.BigInteger, sa.ForeignKey("incident.id", ondelete="CASCADE")),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("step", sa.SmallInteger, nullable=False),
        sa.Column("heard_at", moment),
        sa.Column("post_key", sa.Text),
        sa.PrimaryKeyConstraint("organization_id", "incident_id", name="pk_owner_reminder"),
        sa.CheckConstraint("step IN (0, 1, 2)", name="step_known"),
    )
    for column in ("incident_id", "due_at", "post_key"):
        op.create_index(f"ix_owner_reminder_{column}", "owner_reminder", [column])


def downgrade() -> None:
    op.drop_table("owner_reminder")
    op.execute("DELETE FROM post WHERE kind = 'reminder'")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS}))
    """)
    op.execute("DELETE FROM incident_activity WHERE type = 107")
    op.execute(f"ALTER TABLE incident_activity DROP CONSTRAINT {_TYPES}")
    op.create_check_constraint("type_known", "incident_activity", "type IN (1, 2, 3, 4, 100, 101, 102, 105, 106)")
