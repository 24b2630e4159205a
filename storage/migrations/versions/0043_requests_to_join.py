"""People who are no members ask to be let in. The version before neither asks nor sends the messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

revision = "joining01"
down_revision = "counts01"
branch_labels = None
depends_on = None

_KINDS = (
    "'card', 'mirror', 'amendment', 'notification', 'newest', 'older', 'digest', 'note', 'handoff', 'handoff_answer',"
    " 'call', 'storm', 'summary', 'reminder', 'personal_digest'"
)


def upgrade() -> None:
    if not sa.inspect(op.get_bind()).has_table("join_request"):  # a run that was interrupted later has made it
        _create_table()
    # Whoever wants to use this table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT IF EXISTS ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS}, 'join_request')) NOT VALID
    """)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE post VALIDATE CONSTRAINT ck_post_kind_known")


def _create_table() -> None:
    moment = TIMESTAMP(timezone=True)
    op.create_table(
        "join_request",
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE")),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspace.id", ondelete="CASCADE"), nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("former_member_id", sa.BigInteger),
        sa.Column("post_ids", ARRAY(sa.BigInteger), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("date_added", moment, nullable=False),
        sa.Column("date_decided", moment),
        sa.Column("decided_by_id", sa.BigInteger),
        sa.Column("admitted", sa.Boolean),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_join_request"),
        sa.ForeignKeyConstraint(
            ["organization_id", "former_member_id"],
            ["member.organization_id", "member.id"],
            name="fk_join_request_organization_id_former_member_id",
            ondelete="SET NULL (former_member_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "decided_by_id"],
            ["member.organization_id", "member.id"],
            name="fk_join_request_organization_id_decided_by_id",
            ondelete="SET NULL (decided_by_id)",
        ),
        sa.CheckConstraint("(admitted IS NULL) = (date_decided IS NULL)", name="decided_has_date"),
    )
    op.create_index("ix_join_request_workspace_id", "join_request", ["workspace_id"])
    op.create_index("ix_join_request_user", "join_request", ["organization_id", "workspace_id", "user_id"])
    op.create_index("ix_join_request_former_member", "join_request", ["organization_id", "former_member_id"])
    op.create_index("ix_join_request_decided_by", "join_request", ["organization_id", "decided_by_id"])
    op.create_index(
        "uq_join_request_open",
        "join_request",
        ["organization_id", "workspace_id", "user_id"],
        unique=True,
        postgresql_where=sa.text("date_decided IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("join_request")
    op.execute("DELETE FROM post WHERE kind = 'join_request'")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS}))
    """)
