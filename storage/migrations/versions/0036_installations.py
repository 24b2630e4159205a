"""The app may be installed in many workspaces. The version before knows only the workspace of its token, and works on.

Workspaces that were connected in Slack are taken by the version before for those of the organization file.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "oauth01"
down_revision = "audit01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("enterprise_id", sa.Text),
        sa.Column("name", sa.Text),
        sa.Column("url", sa.Text),
        sa.Column("app_id", sa.Text),
        sa.Column("bot_user_id", sa.Text, nullable=False),
        sa.Column("bot_id", sa.Text),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("installed_by", sa.Text, nullable=False),
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="SET NULL"), index=True),
        sa.Column("token_sealed", sa.Text),
        sa.Column("refresh_token_sealed", sa.Text),
        sa.Column("token_expires_at", TIMESTAMP(timezone=True)),
        sa.Column("refresh_leased_until", TIMESTAMP(timezone=True)),
        sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        sa.Column("date_installed", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("date_ended", TIMESTAMP(timezone=True)),
        sa.Column("end_reason", sa.Text),
        sa.CheckConstraint("(date_ended IS NULL) = (token_sealed IS NOT NULL)", name="token_until_end"),
    )
    op.create_table(
        "installation_workspace",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column(
            "installation_id",
            sa.Text,
            sa.ForeignKey("installation.id", ondelete="CASCADE"),
            primary_key=True,
            index=True,
        ),
        sa.Column("name", sa.Text),
        sa.Column("date_added", TIMESTAMP(timezone=True), nullable=False),
    )
    op.create_table(
        "workspace_request",
        sa.Column(
            "organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("workspace_id", sa.Text, primary_key=True, index=True),
        sa.Column("installed_by", sa.Text, nullable=False),
        sa.Column("date_added", TIMESTAMP(timezone=True), nullable=False),
    )
    op.create_table(
        "oauth_state",
        sa.Column("state_hash", sa.Text, primary_key=True),
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE"), index=True),
        sa.Column("date_expires", TIMESTAMP(timezone=True), nullable=False, index=True),
    )
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE workspace ADD COLUMN IF NOT EXISTS connected_in_slack boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.drop_column("workspace", "connected_in_slack")
    for table in ("oauth_state", "workspace_request", "installation_workspace", "installation"):
        op.drop_table(table)
