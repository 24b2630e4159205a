"""Members may follow new incidents of a team, a project or a severity. The version before tells nobody of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "follow01"
down_revision = "calls02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "followed_filter",
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE")),
        sa.Column("id", sa.BigInteger, sa.Identity()),
        sa.Column("member_id", sa.BigInteger, nullable=False),
        sa.Column("team_id", sa.BigInteger, sa.ForeignKey("team.id", ondelete="CASCADE")),
        sa.Column("project_id", sa.BigInteger, sa.ForeignKey("project.id", ondelete="CASCADE")),
        sa.Column("severity", sa.SmallInteger),
        sa.Column("date_added", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_followed_filter"),
        sa.ForeignKeyConstraint(
            ["organization_id", "member_id"],
            ["member.organization_id", "member.id"],
            name="fk_followed_filter_organization_id_member_id",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint(
            "organization_id",
            "member_id",
            "team_id",
            "project_id",
            "severity",
            name="uq_followed_filter",
            postgresql_nulls_not_distinct=True,
        ),
        sa.CheckConstraint("num_nonnulls(team_id, project_id, severity) > 0", name="has_condition"),
    )
    for column in ("team_id", "project_id"):
        op.create_index(f"ix_followed_filter_{column}", "followed_filter", [column])


def downgrade() -> None:
    op.drop_table("followed_filter")
