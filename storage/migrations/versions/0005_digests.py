"""Digests: when they are told, and each time that they were.

Also when an incident was first seen by somebody, which the median time to acknowledge needs, and an index to
what was resolved lately.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "digests01"
down_revision = "delivery01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "incident_seen",
        sa.Column("first_seen", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    # The best that is known of what was seen before this column was there.
    op.execute("UPDATE incident_seen SET first_seen = last_seen")
    op.create_index(
        "ix_incident_closed",
        "incident",
        ["organization_id", "date_closed"],
        unique=False,
        postgresql_where=sa.text("status = 2"),
    )
    op.create_table(
        "digest",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("owner_user_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("skip_empty", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("picture", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("grace_minutes", sa.BigInteger(), server_default=sa.text("10"), nullable=False),
        sa.Column("next_fire_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_fire_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("date_paused", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(next_fire_at IS NULL) = (date_paused IS NOT NULL)", name=op.f("ck_digest_fires_or_paused")
        ),
        sa.CheckConstraint("grace_minutes BETWEEN 0 AND 1440", name=op.f("ck_digest_grace_sensible")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_digest_organization_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["member.id"], name=op.f("fk_digest_owner_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspace.id"], name=op.f("fk_digest_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_digest_organization_id_name")),
    )
    op.create_index("ix_digest_channel", "digest", ["workspace_id", "channel_id"], unique=False)
    op.create_index(
        "ix_digest_next_fire_at",
        "digest",
        ["next_fire_at"],
        unique=False,
        postgresql_where=sa.text("next_fire_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_digest_owner_id"), "digest", ["owner_id"], unique=False)
    op.create_table(
        "digest_fire",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("digest_id", sa.BigInteger(), nullable=False),
        sa.Column("fire_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("since", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by_hand", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'due'"), nullable=False),
        sa.Column("leased_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("post_id", sa.BigInteger(), nullable=True),
        sa.Column("file_id", sa.Text(), nullable=True),
        sa.Column("picture_says", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state IN ('due', 'posted', 'sent', 'failed', 'silent', 'missed', 'stopped')",
            name=op.f("ck_digest_fire_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["digest_id"], ["digest.id"], name=op.f("fk_digest_fire_digest_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest_fire")),
        sa.UniqueConstraint("digest_id", "fire_at", name=op.f("uq_digest_fire_digest_id_fire_at")),
    )
    op.create_index(
        "ix_digest_fire_unfinished",
        "digest_fire",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('due', 'posted')"),
    )


def downgrade() -> None:
    op.drop_table("digest_fire")
    op.drop_table("digest")
    op.drop_index("ix_incident_closed", table_name="incident", postgresql_where=sa.text("status = 2"))
    op.drop_column("incident_seen", "first_seen")
