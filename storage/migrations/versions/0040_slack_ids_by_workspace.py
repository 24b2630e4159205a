"""A member may have another Slack id in each workspace. The version before knows such members by their e-mail alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "slackids01"
down_revision = "tenant01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "member_slack_user",
        sa.Column("organization_id", sa.BigInteger),
        sa.Column("member_id", sa.BigInteger),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspace.id", ondelete="CASCADE")),
        sa.Column("slack_user_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "member_id", "workspace_id", name="pk_member_slack_user"),
        sa.ForeignKeyConstraint(
            ["organization_id", "member_id"],
            ["member.organization_id", "member.id"],
            name="fk_member_slack_user_organization_id_member_id",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint(
            "organization_id",
            "workspace_id",
            "slack_user_id",
            name="uq_member_slack_user_organization_id_workspace_id_slack_user_id",
        ),
    )
    op.create_index("ix_member_slack_user_workspace_id", "member_slack_user", ["workspace_id"])


def downgrade() -> None:
    op.drop_table("member_slack_user")
