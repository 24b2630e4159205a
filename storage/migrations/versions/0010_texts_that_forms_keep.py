"""Texts that are too long for a form to keep in its private metadata."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "forms01"
down_revision = "people01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "form_text",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_form_text_organization_id_organization"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_form_text_member_id_member"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_form_text")),
    )
    op.create_index(op.f("ix_form_text_member_id"), "form_text", ["member_id"])
    op.create_index(op.f("ix_form_text_date_added"), "form_text", ["date_added"])


def downgrade() -> None:
    op.drop_table("form_text")
