"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A trusted extension: the owner of the database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "handled_request",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "key", name=op.f("pk_handled_request")),
    )
    op.create_index(op.f("ix_handled_request_date_added"), "handled_request", ["date_added"], unique=False)
    op.create_table(
        "organization",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("open_membership", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("incidents", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("shared_channels", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("last_identifier", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
        sa.UniqueConstraint("slug", name=op.f("uq_organization_slug")),
    )
    op.create_table(
        "member",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slack_user_id", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), server_default=sa.text("'member'"), nullable=False),
        sa.Column("superuser", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("date_removed", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('member', 'admin', 'manager', 'owner')", name=op.f("ck_member_role_known")),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_member_email_lower")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_member_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member")),
        sa.UniqueConstraint("organization_id", "email", name=op.f("uq_member_organization_id_email")),
    )
    op.create_index(
        "uq_member_organization_id_slack_user_id",
        "member",
        ["organization_id", "slack_user_id"],
        unique=True,
        postgresql_where=sa.text("slack_user_id IS NOT NULL AND date_removed IS NULL"),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_project_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        sa.UniqueConstraint("organization_id", "slug", name=op.f("uq_project_organization_id_slug")),
    )
    op.create_table(
        "team",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slack_usergroup", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_team_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team")),
        sa.UniqueConstraint("organization_id", "slug", name=op.f("uq_team_organization_id_slug")),
    )
    op.create_table(
        "workspace",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_workspace_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspace")),
    )
    op.create_index(op.f("ix_workspace_organization_id"), "workspace", ["organization_id"], unique=False)
    op.create_table(
        "incident",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("identifier", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("status_method", sa.SmallInteger(), nullable=False),
        sa.Column("status_before_closing", sa.SmallInteger(), nullable=True),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("environment", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("dedup_key", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("date_started", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("date_detected", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("date_closed", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 2) = (date_closed IS NOT NULL)", name=op.f("ck_incident_closed_has_date")),
        sa.CheckConstraint("status IN (1, 2, 10, 20)", name=op.f("ck_incident_status_known")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_incident_organization_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_incident_team_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
        sa.UniqueConstraint("organization_id", "identifier", name=op.f("uq_incident_organization_id_identifier")),
    )
    op.create_index(
        "ix_incident_all",
        "incident",
        ["organization_id", sa.literal_column("date_started DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_incident_open",
        "incident",
        ["organization_id", sa.literal_column("date_started DESC"), sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("status <> 2"),
    )
    op.create_index(
        "ix_incident_open_of_team",
        "incident",
        [
            "organization_id",
            sa.literal_column("coalesce(team_id, 0)"),
            sa.literal_column("date_started DESC"),
            sa.literal_column("id DESC"),
        ],
        unique=False,
        postgresql_where=sa.text("status <> 2"),
    )
    op.create_index(
        "ix_incident_organization_id_dedup_key", "incident", ["organization_id", "dedup_key", "id"], unique=False
    )
    op.create_index(
        "ix_incident_status",
        "incident",
        ["organization_id", "status", sa.literal_column("date_started DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(op.f("ix_incident_team_id"), "incident", ["team_id"], unique=False)
    op.create_index(
        "ix_incident_title_trigram",
        "incident",
        ["title"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_incident_open_title_trigram",
        "incident",
        ["title"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
        postgresql_where=sa.text("status <> 2"),
    )
    op.create_index(
        "uq_incident_open_dedup_key",
        "incident",
        ["organization_id", "dedup_key"],
        unique=True,
        postgresql_where=sa.text("dedup_key IS NOT NULL AND status <> 2"),
    )
    op.create_table(
        "intake_token",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=True),
        sa.Column("secret_encrypted", sa.Text(), nullable=True),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("date_revoked", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_intake_token_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_intake_token_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intake_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_intake_token_token_hash")),
    )
    op.create_index(op.f("ix_intake_token_organization_id"), "intake_token", ["organization_id"], unique=False)
    op.create_index(op.f("ix_intake_token_project_id"), "intake_token", ["project_id"], unique=False)
    op.create_table(
        "member_team",
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_member_team_member_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_member_team_team_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("member_id", "team_id", name=op.f("pk_member_team")),
    )
    op.create_index(op.f("ix_member_team_team_id"), "member_team", ["team_id"], unique=False)
    op.create_table(
        "project_channel",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_project_channel_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "channel_id", name=op.f("pk_project_channel")),
    )
    op.create_index(op.f("ix_project_channel_channel_id"), "project_channel", ["channel_id"], unique=False)
    op.create_table(
        "project_team",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_project_team_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_project_team_team_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "team_id", name=op.f("pk_project_team")),
    )
    op.create_index(op.f("ix_project_team_team_id"), "project_team", ["team_id"], unique=False)
    op.create_table(
        "slack_person",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=True),
        sa.Column("home_team", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default=sa.text("'UTC'"), nullable=False),
        sa.Column("date_checked", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_slack_person_member_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspace.id"], name=op.f("fk_slack_person_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "user_id", name=op.f("pk_slack_person")),
    )
    op.create_index(op.f("ix_slack_person_member_id"), "slack_person", ["member_id"], unique=False)
    op.create_table(
        "incident_activity",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.SmallInteger(), nullable=True),
        sa.Column("previous_value", sa.SmallInteger(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("rich_text", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("date_edited", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("date_deleted", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(comment IS NULL) OR (date_deleted IS NULL)", name=op.f("ck_incident_activity_deleted_is_empty")
        ),
        sa.CheckConstraint("type IN (1, 2, 3, 4)", name=op.f("ck_incident_activity_type_known")),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name=op.f("fk_incident_activity_incident_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_incident_activity_member_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_activity")),
    )
    op.create_index(
        "ix_incident_activity_log",
        "incident_activity",
        ["incident_id", sa.literal_column("date_added DESC"), sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("date_deleted IS NULL"),
    )
    op.create_index(op.f("ix_incident_activity_member_id"), "incident_activity", ["member_id"], unique=False)
    op.create_table(
        "incident_project",
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("started", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("team_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name=op.f("fk_incident_project_incident_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_incident_project_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("incident_id", "project_id", name=op.f("pk_incident_project")),
    )
    op.create_index(
        "ix_incident_project_all",
        "incident_project",
        ["project_id", sa.literal_column("started DESC"), sa.literal_column("incident_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_incident_project_open",
        "incident_project",
        ["project_id", sa.literal_column("started DESC"), sa.literal_column("incident_id DESC")],
        unique=False,
        postgresql_where=sa.text("status <> 2"),
    )
    op.create_index(
        "ix_incident_project_open_of_team",
        "incident_project",
        ["project_id", "team_id", sa.literal_column("started DESC"), sa.literal_column("incident_id DESC")],
        unique=False,
        postgresql_where=sa.text("status <> 2"),
    )
    op.create_index(
        "ix_incident_project_status",
        "incident_project",
        ["project_id", "status", sa.literal_column("started DESC"), sa.literal_column("incident_id DESC")],
        unique=False,
    )
    op.create_table(
        "incident_seen",
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name=op.f("fk_incident_seen_incident_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_incident_seen_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("incident_id", "member_id", name=op.f("pk_incident_seen")),
    )
    op.create_index(op.f("ix_incident_seen_member_id"), "incident_seen", ["member_id"], unique=False)
    op.create_table(
        "incident_subscription",
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name=op.f("fk_incident_subscription_incident_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_incident_subscription_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("incident_id", "member_id", name=op.f("pk_incident_subscription")),
    )
    op.create_index(op.f("ix_incident_subscription_member_id"), "incident_subscription", ["member_id"], unique=False)
    op.create_table(
        "comment_mention",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("activity_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=True),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("num_nonnulls(member_id, team_id) = 1", name=op.f("ck_comment_mention_person_or_team")),
        sa.ForeignKeyConstraint(
            ["activity_id"],
            ["incident_activity.id"],
            name=op.f("fk_comment_mention_activity_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_comment_mention_member_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_comment_mention_team_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comment_mention")),
        sa.UniqueConstraint(
            "activity_id",
            "member_id",
            "team_id",
            name=op.f("uq_comment_mention_activity_id_member_id_team_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("ix_comment_mention_member_id"), "comment_mention", ["member_id"], unique=False)
    op.create_index(op.f("ix_comment_mention_team_id"), "comment_mention", ["team_id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("activity_id", sa.BigInteger(), nullable=False),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("date_expanded", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["activity_id"], ["incident_activity.id"], name=op.f("fk_outbox_activity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("activity_id", name=op.f("uq_outbox_activity_id")),
    )
    op.create_index(
        "ix_outbox_waiting", "outbox", ["id"], unique=False, postgresql_where=sa.text("date_expanded IS NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_waiting", table_name="outbox", postgresql_where=sa.text("date_expanded IS NULL"))
    op.drop_table("outbox")
    op.drop_index(op.f("ix_comment_mention_team_id"), table_name="comment_mention")
    op.drop_index(op.f("ix_comment_mention_member_id"), table_name="comment_mention")
    op.drop_table("comment_mention")
    op.drop_index(op.f("ix_incident_subscription_member_id"), table_name="incident_subscription")
    op.drop_table("incident_subscription")
    op.drop_index(op.f("ix_incident_seen_member_id"), table_name="incident_seen")
    op.drop_table("incident_seen")
    op.drop_index("ix_incident_project_status", table_name="incident_project")
    op.drop_index(
        "ix_incident_project_open_of_team", table_name="incident_project", postgresql_where=sa.text("status <> 2")
    )
    op.drop_index("ix_incident_project_open", table_name="incident_project", postgresql_where=sa.text("status <> 2"))
    op.drop_index("ix_incident_project_all", table_name="incident_project")
    op.drop_table("incident_project")
    op.drop_index(op.f("ix_incident_activity_member_id"), table_name="incident_activity")
    op.drop_index(
        "ix_incident_activity_log",
        table_name="incident_activity",
        postgresql_where=sa.text("date_deleted IS NULL"),
    )
    op.drop_table("incident_activity")
    op.drop_index(op.f("ix_slack_person_member_id"), table_name="slack_person")
    op.drop_table("slack_person")
    op.drop_index(op.f("ix_project_team_team_id"), table_name="project_team")
    op.drop_table("project_team")
    op.drop_index(op.f("ix_project_channel_channel_id"), table_name="project_channel")
    op.drop_table("project_channel")
    op.drop_index(op.f("ix_member_team_team_id"), table_name="member_team")
    op.drop_table("member_team")
    op.drop_index(op.f("ix_intake_token_project_id"), table_name="intake_token")
    op.drop_index(op.f("ix_intake_token_organization_id"), table_name="intake_token")
    op.drop_table("intake_token")
    op.drop_index(
        "uq_incident_open_dedup_key",
        table_name="incident",
        postgresql_where=sa.text("dedup_key IS NOT NULL AND status <> 2"),
    )
    op.drop_index(
        "ix_incident_open_title_trigram",
        table_name="incident",
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
        postgresql_where=sa.text("status <> 2"),
    )
    op.drop_index(
        "ix_incident_title_trigram",
        table_name="incident",
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
    )
    op.drop_index(op.f("ix_incident_team_id"), table_name="incident")
    op.drop_index("ix_incident_status", table_name="incident")
    op.drop_index("ix_incident_organization_id_dedup_key", table_name="incident")
    op.drop_index("ix_incident_open_of_team", table_name="incident", postgresql_where=sa.text("status <> 2"))
    op.drop_index("ix_incident_open", table_name="incident", postgresql_where=sa.text("status <> 2"))
    op.drop_index("ix_incident_all", table_name="incident")
    op.drop_table("incident")
    op.drop_index(op.f("ix_workspace_organization_id"), table_name="workspace")
    op.drop_table("workspace")
    op.drop_table("team")
    op.drop_table("project")
    op.drop_index(
        "uq_member_organization_id_slack_user_id",
        table_name="member",
        postgresql_where=sa.text("slack_user_id IS NOT NULL AND date_removed IS NULL"),
    )
    op.drop_table("member")
    op.drop_table("organization")
    op.drop_index(op.f("ix_handled_request_date_added"), table_name="handled_request")
    op.drop_table("handled_request")
