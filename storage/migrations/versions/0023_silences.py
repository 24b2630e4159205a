"""Silences of alerts. The version before opens incidents without one, and posts their cards.

Each step may be run again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "silences01"
down_revision = "replicas01"
branch_labels = None
depends_on = None

_TYPES = "ck_incident_activity_type_known"


def upgrade() -> None:
    # Whoever wants to read these tables waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS silence_id bigint")
    op.execute(f"ALTER TABLE incident_activity DROP CONSTRAINT IF EXISTS {_TYPES}")
    op.execute(f"""
        ALTER TABLE incident_activity ADD CONSTRAINT {_TYPES} CHECK (type IN (1, 2, 3, 4, 100, 102, 105)) NOT VALID
    """)
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE incident_activity VALIDATE CONSTRAINT {_TYPES}")
        # One that was interrupted leaves an index that is not valid.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_incident_silence")
        op.execute("""
            CREATE INDEX CONCURRENTLY ix_incident_silence ON incident (organization_id, silence_id)
            WHERE silence_id IS NOT NULL
        """)
    if not sa.inspect(op.get_bind()).has_table("silence"):
        op.execute("SET LOCAL lock_timeout = '500ms'")
        _create_table()


def _create_table() -> None:
    moment = TIMESTAMP(timezone=True)
    op.create_table(
        "silence",
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE")),
        sa.Column("id", sa.BigInteger, sa.Identity()),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspace.id", ondelete="CASCADE"), nullable=False),
        sa.Column("project_id", sa.BigInteger, sa.ForeignKey("project.id", ondelete="CASCADE")),
        sa.Column("incident_id", sa.BigInteger, sa.ForeignKey("incident.id", ondelete="CASCADE")),
        sa.Column("member_id", sa.BigInteger, sa.ForeignKey("member.id", ondelete="CASCADE"), nullable=False),
        sa.Column("matchers", JSONB, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("starts", moment, nullable=False),
        sa.Column("ends", moment, nullable=False),
        sa.Column("date_ended", moment),
        sa.Column("ended_by", sa.BigInteger, sa.ForeignKey("member.id", ondelete="SET NULL")),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_silence"),
        sa.CheckConstraint("starts < ends", name="ends_after_start"),
    )
    in_force = sa.text("date_ended IS NULL")
    op.create_index("ix_silence_in_force", "silence", ["organization_id", "ends"], postgresql_where=in_force)
    op.create_index("ix_silence_due", "silence", ["ends"], postgresql_where=in_force)
    for column in ("workspace_id", "project_id", "incident_id", "member_id", "ended_by"):
        op.create_index(f"ix_silence_{column}", "silence", [column])


def downgrade() -> None:
    op.drop_table("silence")
    op.drop_column("incident", "silence_id")
    op.execute("DELETE FROM incident_activity WHERE type = 102")
    op.execute(f"ALTER TABLE incident_activity DROP CONSTRAINT {_TYPES}")
    op.create_check_constraint("type_known", "incident_activity", "type IN (1, 2, 3, 4, 100, 105)")
