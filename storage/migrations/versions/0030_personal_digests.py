"""Digests for one member alone. The version before neither reads nor sends them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "digests04"
down_revision = "silences02"
branch_labels = None
depends_on = None

_KINDS = (
    "'card', 'mirror', 'amendment', 'notification', 'newest', 'older', 'digest', 'note', 'handoff', 'handoff_answer',"
    " 'call', 'storm', 'summary', 'reminder'"
)


def upgrade() -> None:
    if not sa.inspect(op.get_bind()).has_table("personal_digest"):  # a run that was interrupted later has made it
        _create_table()
    # Whoever wants to use this table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT IF EXISTS ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS}, 'personal_digest')) NOT VALID
    """)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE post VALIDATE CONSTRAINT ck_post_kind_known")


def _create_table() -> None:
    moment = TIMESTAMP(timezone=True)
    op.create_table(
        "personal_digest",
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE")),
        sa.Column("member_id", sa.BigInteger),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspace.id", ondelete="CASCADE"), nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("next_fire_at", moment),
        sa.Column("since", moment, nullable=False),
        sa.Column("date_paused", moment),
        sa.Column("date_added", moment, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "member_id", name="pk_personal_digest"),
        sa.ForeignKeyConstraint(
            ["organization_id", "member_id"],
            ["member.organization_id", "member.id"],
            name="fk_personal_digest_organization_id_member_id",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("(next_fire_at IS NULL) = (date_paused IS NOT NULL)", name="fires_or_paused"),
    )
    op.create_index("ix_personal_digest_workspace_id", "personal_digest", ["workspace_id"])
    op.create_index(
        "ix_personal_digest_next_fire_at",
        "personal_digest",
        ["next_fire_at"],
        postgresql_where=sa.text("next_fire_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("personal_digest")
    op.execute("DELETE FROM post WHERE kind = 'personal_digest'")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS}))
    """)
