"""Offers to take over incidents. The version before knows none, and leaves their entries of the log out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "handoffs01"
down_revision = "silences01"
branch_labels = None
depends_on = None

_TYPES = "ck_incident_activity_type_known"
_KINDS = "'card', 'mirror', 'amendment', 'notification', 'newest', 'older', 'digest', 'note'"


def upgrade() -> None:
    if not sa.inspect(op.get_bind()).has_table("handoff"):  # a run that was interrupted later has made them
        _create_tables()
    # Whoever wants to read this table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute(f"ALTER TABLE incident_activity DROP CONSTRAINT IF EXISTS {_TYPES}")
    op.execute(f"""
        ALTER TABLE incident_activity ADD CONSTRAINT {_TYPES} CHECK (type IN (1, 2, 3, 4, 100, 102, 105, 106)) NOT VALID
    """)
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT IF EXISTS ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS}, 'handoff', 'handoff_answer')) NOT VALID
    """)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE post VALIDATE CONSTRAINT ck_post_kind_known")
        op.execute(f"ALTER TABLE incident_activity VALIDATE CONSTRAINT {_TYPES}")


def _create_tables() -> None:
    moment = TIMESTAMP(timezone=True)
    op.create_table(
        "handoff",
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE")),
        sa.Column("id", sa.BigInteger, sa.Identity()),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspace.id", ondelete="CASCADE"), nullable=False),
        sa.Column("giver_id", sa.BigInteger, nullable=False),
        sa.Column("receiver_id", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("shift", sa.Boolean, nullable=False),
        sa.Column("post_id", sa.BigInteger),
        sa.Column("date_added", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_handoff"),
        *(
            sa.ForeignKeyConstraint(
                ["organization_id", column],
                ["member.organization_id", "member.id"],
                name=f"fk_handoff_organization_id_{column}",
                ondelete="CASCADE",
            )
            for column in ("giver_id", "receiver_id")
        ),
    )
    op.create_index("ix_handoff_workspace_id", "handoff", ["workspace_id"])
    op.create_index("ix_handoff_giver", "handoff", ["organization_id", "giver_id"])
    op.create_index("ix_handoff_receiver", "handoff", ["organization_id", "receiver_id"])
    op.create_table(
        "handoff_item",
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE")),
        sa.Column("handoff_id", sa.BigInteger),
        sa.Column("incident_id", sa.BigInteger, sa.ForeignKey("incident.id", ondelete="CASCADE")),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("date_ended", moment),
        sa.PrimaryKeyConstraint("organization_id", "handoff_id", "incident_id", name="pk_handoff_item"),
        sa.ForeignKeyConstraint(
            ["organization_id", "handoff_id"],
            ["handoff.organization_id", "handoff.id"],
            name="fk_handoff_item_organization_id_handoff_id",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "state IN ('offered', 'accepted', 'declined', 'withdrawn', 'lapsed', 'void')", name="state_known"
        ),
        sa.CheckConstraint("(state = 'offered') = (date_ended IS NULL)", name="ended_has_date"),
    )
    op.create_index(
        "uq_handoff_item_offered",
        "handoff_item",
        ["incident_id"],
        unique=True,
        postgresql_where=sa.text("state = 'offered'"),
    )
    op.create_index("ix_handoff_item_incident", "handoff_item", ["incident_id"])


def downgrade() -> None:
    op.execute("DELETE FROM post WHERE kind IN ('handoff', 'handoff_answer')")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS}))
    """)
    op.drop_table("handoff_item")
    op.drop_table("handoff")
    op.execute("DELETE FROM incident_activity WHERE type = 106")
    op.execute(f"ALTER TABLE incident_activity DROP CONSTRAINT {_TYPES}")
    op.create_check_constraint("type_known", "incident_activity", "type IN (1, 2, 3, 4, 100, 102, 105)")
