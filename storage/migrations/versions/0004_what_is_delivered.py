"""What is delivered: conversations, the messages that are to stand in them, and who is told of what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "delivery01"
down_revision = "intake02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "destination",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("member_id", sa.BigInteger(), nullable=True),
        sa.Column("conversation_id", sa.Text(), nullable=True),
        sa.Column("next_send_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("urgency", sa.SmallInteger(), server_default=sa.text("3"), nullable=False),
        sa.Column("leased_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("lease", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed_reason", sa.Text(), nullable=True),
        sa.Column("failed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_ts", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("is_private", sa.Boolean(), nullable=True),
        sa.Column("is_shared", sa.Boolean(), nullable=True),
        sa.Column("is_member", sa.Boolean(), nullable=True),
        sa.Column("date_checked", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("num_nonnulls(channel_id, user_id, member_id) = 1", name=op.f("ck_destination_one_target")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_destination_member_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspace.id"], name=op.f("fk_destination_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destination")),
        sa.UniqueConstraint(
            "workspace_id",
            "channel_id",
            "user_id",
            "member_id",
            name=op.f("uq_destination_workspace_id_channel_id_user_id_member_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "ix_destination_due",
        "destination",
        ["urgency", "due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_destination_failed",
        "destination",
        ["workspace_id"],
        unique=False,
        postgresql_where=sa.text("failed_reason IS NOT NULL"),
    )
    op.create_index(op.f("ix_destination_member_id"), "destination", ["member_id"], unique=False)
    op.create_table(
        "method_pace",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("spoken_for_until", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspace.id"], name=op.f("fk_method_pace_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "method", name=op.f("pk_method_pace")),
    )
    op.create_table(
        "post",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("destination_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), server_default=sa.text("2"), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=True),
        sa.Column("activity_id", sa.BigInteger(), nullable=True),
        sa.Column("card_id", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("message", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("wanted_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("drawn_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("attempted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("after_ts", sa.Text(), nullable=True),
        sa.Column("searched_to", sa.Text(), nullable=True),
        sa.Column("slot_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ts", sa.Text(), nullable=True),
        sa.Column("drawn_hash", sa.Text(), nullable=True),
        sa.Column("failed_reason", sa.Text(), nullable=True),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("date_done", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('card', 'mirror', 'amendment', 'notification', 'digest', 'note')",
            name=op.f("ck_post_kind_known"),
        ),
        sa.ForeignKeyConstraint(
            ["activity_id"], ["incident_activity.id"], name=op.f("fk_post_activity_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["card_id"], ["post.id"], name=op.f("fk_post_card_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["destination_id"], ["destination.id"], name=op.f("fk_post_destination_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_post_incident_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_post")),
        sa.UniqueConstraint("key", name=op.f("uq_post_key")),
    )
    op.create_index(op.f("ix_post_activity_id"), "post", ["activity_id"], unique=False)
    op.create_index(
        "ix_post_done", "post", ["date_done"], unique=False, postgresql_where=sa.text("date_done IS NOT NULL")
    )
    op.create_index("ix_post_incident_id", "post", ["incident_id"], unique=False)
    op.create_index(
        "ix_post_ts", "post", ["ts"], unique=False, postgresql_where=sa.text("ts IS NOT NULL AND kind = 'card'")
    )
    op.create_index(
        "ix_post_waiting",
        "post",
        ["destination_id", "urgency", "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("wanted_version > drawn_version"),
    )
    op.create_index(
        "uq_post_card",
        "post",
        ["incident_id", "destination_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'card'"),
    )
    op.create_index(
        "uq_post_in_thread",
        "post",
        ["card_id", "activity_id", "kind"],
        unique=True,
        postgresql_where=sa.text("card_id IS NOT NULL"),
    )
    op.create_table(
        "thread_reply",
        sa.Column("destination_id", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.BigInteger(), nullable=True),
        sa.Column("edited_ts", sa.Text(), nullable=True),
        sa.Column("gone", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("date_added", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["activity_id"], ["incident_activity.id"], name=op.f("fk_thread_reply_activity_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["destination_id"], ["destination.id"], name=op.f("fk_thread_reply_destination_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("destination_id", "ts", name=op.f("pk_thread_reply")),
    )
    op.create_index(op.f("ix_thread_reply_activity_id"), "thread_reply", ["activity_id"], unique=False)
    op.create_table(
        "notification",
        sa.Column("activity_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("mention", sa.Boolean(), nullable=False),
        sa.Column("post_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["activity_id"], ["incident_activity.id"], name=op.f("fk_notification_activity_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_notification_member_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["post_id"], ["post.id"], name=op.f("fk_notification_post_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("activity_id", "member_id", "mention", name=op.f("pk_notification")),
    )
    op.create_index(op.f("ix_notification_member_id"), "notification", ["member_id"], unique=False)
    op.create_index(op.f("ix_notification_post_id"), "notification", ["post_id"], unique=False)
    # Nothing has delivered what waits here, and nobody wants to hear of all of the past at once.
    op.execute("DELETE FROM outbox")
    op.add_column("member", sa.Column("notify", sa.Text(), server_default=sa.text("'all'"), nullable=False))
    op.create_check_constraint(op.f("ck_member_notify_known"), "member", "notify IN ('all', 'mentions', 'none')")
    op.add_column(
        "organization",
        sa.Column("acknowledge_reaction", sa.Text(), server_default=sa.text("'eyes'"), nullable=False),
    )
    op.add_column(
        "organization",
        sa.Column("resolve_reaction", sa.Text(), server_default=sa.text("'white_check_mark'"), nullable=False),
    )
    op.add_column("outbox", sa.Column("incident_id", sa.BigInteger(), nullable=False))
    op.add_column("outbox", sa.Column("again", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("outbox", sa.Column("member_ids", postgresql.ARRAY(sa.BigInteger()), nullable=True))
    op.add_column("outbox", sa.Column("said_in", sa.Text(), nullable=True))
    op.add_column("outbox", sa.Column("failures", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("outbox", sa.Column("retry_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.alter_column("outbox", "activity_id", existing_type=sa.BIGINT(), nullable=True)
    op.drop_index(op.f("ix_outbox_waiting"), table_name="outbox", postgresql_where="(date_expanded IS NULL)")
    op.drop_constraint(op.f("uq_outbox_activity_id"), "outbox", type_="unique")
    op.create_index(op.f("ix_outbox_activity_id"), "outbox", ["activity_id"], unique=False)
    op.create_index(op.f("ix_outbox_incident_id"), "outbox", ["incident_id"], unique=False)
    op.create_foreign_key(
        op.f("fk_outbox_incident_id"), "outbox", "incident", ["incident_id"], ["id"], ondelete="CASCADE"
    )
    op.alter_column("outbox", "date_added", server_default=sa.text("now()"))
    op.drop_column("outbox", "date_expanded")
    op.add_column("workspace", sa.Column("paused_reason", sa.Text(), nullable=True))
    op.add_column("workspace", sa.Column("paused_until", postgresql.TIMESTAMP(timezone=True), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM outbox")
    op.drop_column("workspace", "paused_until")
    op.drop_column("workspace", "paused_reason")
    op.add_column(
        "outbox",
        sa.Column("date_expanded", postgresql.TIMESTAMP(timezone=True), autoincrement=False, nullable=True),
    )
    op.drop_constraint(op.f("fk_outbox_incident_id"), "outbox", type_="foreignkey")
    op.drop_index(op.f("ix_outbox_incident_id"), table_name="outbox")
    op.drop_index(op.f("ix_outbox_activity_id"), table_name="outbox")
    op.create_unique_constraint(
        op.f("uq_outbox_activity_id"), "outbox", ["activity_id"], postgresql_nulls_not_distinct=False
    )
    op.create_index(
        op.f("ix_outbox_waiting"), "outbox", ["id"], unique=False, postgresql_where="(date_expanded IS NULL)"
    )
    op.alter_column("outbox", "date_added", server_default=None)
    op.alter_column("outbox", "activity_id", existing_type=sa.BIGINT(), nullable=False)
    op.drop_column("outbox", "retry_at")
    op.drop_column("outbox", "failures")
    op.drop_column("outbox", "said_in")
    op.drop_column("outbox", "member_ids")
    op.drop_column("outbox", "again")
    op.drop_column("outbox", "incident_id")
    op.drop_column("organization", "resolve_reaction")
    op.drop_column("organization", "acknowledge_reaction")
    op.drop_constraint(op.f("ck_member_notify_known"), "member", type_="check")
    op.drop_column("member", "notify")
    op.drop_index(op.f("ix_notification_post_id"), table_name="notification")
    op.drop_index(op.f("ix_notification_member_id"), table_name="notification")
    op.drop_table("notification")
    op.drop_index(op.f("ix_thread_reply_activity_id"), table_name="thread_reply")
    op.drop_table("thread_reply")
    op.drop_index("uq_post_in_thread", table_name="post", postgresql_where=sa.text("card_id IS NOT NULL"))
    op.drop_index("uq_post_card", table_name="post", postgresql_where=sa.text("kind = 'card'"))
    op.drop_index("ix_post_waiting", table_name="post", postgresql_where=sa.text("wanted_version > drawn_version"))
    op.drop_index("ix_post_ts", table_name="post", postgresql_where=sa.text("ts IS NOT NULL AND kind = 'card'"))
    op.drop_index("ix_post_incident_id", table_name="post")
    op.drop_index("ix_post_done", table_name="post", postgresql_where=sa.text("date_done IS NOT NULL"))
    op.drop_index(op.f("ix_post_activity_id"), table_name="post")
    op.drop_table("post")
    op.drop_table("method_pace")
    op.drop_index(op.f("ix_destination_member_id"), table_name="destination")
    op.drop_index(
        "ix_destination_failed", table_name="destination", postgresql_where=sa.text("failed_reason IS NOT NULL")
    )
    op.drop_index("ix_destination_due", table_name="destination", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("destination")
