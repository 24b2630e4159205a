"""Storms: many new incidents in a channel become one message.

The version before posts a card for each new incident, also during a storm, and leaves the messages of storms and the
summaries of direct messages alone: it does not know their kinds.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "storms01"
down_revision = "log01"
branch_labels = None
depends_on = None

_KINDS_BEFORE = (
    "'card', 'mirror', 'amendment', 'notification', 'newest', 'older', 'digest', 'note', 'handoff', 'handoff_answer',"
    " 'call'"
)
_KINDS = f"{_KINDS_BEFORE}, 'storm', 'summary'"


def upgrade() -> None:
    # Whoever wants to use these tables waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE project ADD COLUMN IF NOT EXISTS storm_cards bigint NOT NULL DEFAULT 5")
    op.execute("ALTER TABLE project ADD COLUMN IF NOT EXISTS storm_within_s bigint NOT NULL DEFAULT 60")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT IF EXISTS ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS})) NOT VALID
    """)
    if not sa.inspect(op.get_bind()).has_table("storm"):  # a run that was interrupted later has made them
        _create_tables()
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE post VALIDATE CONSTRAINT ck_post_kind_known")
        # One that was interrupted leaves an index that is not valid.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_post_new_cards")
        op.execute("""
            CREATE INDEX CONCURRENTLY ix_post_new_cards ON post (destination_id, date_added) WHERE kind = 'card'
        """)


def _create_tables() -> None:
    op.create_table(
        "storm",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("destination_id", sa.BigInteger(), nullable=False),
        sa.Column("post_id", sa.BigInteger(), nullable=False),
        sa.Column("cards", sa.BigInteger(), nullable=False),
        sa.Column("within_s", sa.BigInteger(), nullable=False),
        sa.Column("critical_cards", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("date_started", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("date_last", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("calm_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("date_ended", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("date_split", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("split_by", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], ondelete="CASCADE",
                                name=op.f("fk_storm_organization_id")),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], ondelete="CASCADE",
                                name=op.f("fk_storm_destination_id")),
        sa.ForeignKeyConstraint(["post_id"], ["post.id"], ondelete="CASCADE", name=op.f("fk_storm_post_id")),
        sa.ForeignKeyConstraint(["split_by"], ["member.id"], ondelete="SET NULL", name=op.f("fk_storm_split_by")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_storm")),
        sa.UniqueConstraint("post_id", name=op.f("uq_storm_post_id")),
    )  # fmt: skip
    op.create_index("uq_storm_destination_id", "storm", ["destination_id"], unique=True,
                    postgresql_where=sa.text("date_ended IS NULL"))  # fmt: skip
    op.create_index("ix_storm_calm_at", "storm", ["calm_at"], postgresql_where=sa.text("date_ended IS NULL"))
    op.create_index(op.f("ix_storm_destination_id"), "storm", ["destination_id"])
    op.create_index(op.f("ix_storm_split_by"), "storm", ["split_by"])
    op.create_table(
        "storm_incident",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("storm_id", sa.BigInteger(), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.Column("destination_id", sa.BigInteger(), nullable=False),
        sa.Column("folded", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id", "storm_id"], ["storm.organization_id", "storm.id"],
                                ondelete="CASCADE", name=op.f("fk_storm_incident_organization_id_storm_id")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], ondelete="CASCADE",
                                name=op.f("fk_storm_incident_incident_id")),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], ondelete="CASCADE",
                                name=op.f("fk_storm_incident_destination_id")),
        sa.PrimaryKeyConstraint("organization_id", "storm_id", "incident_id", name=op.f("pk_storm_incident")),
    )  # fmt: skip
    op.create_index("uq_storm_incident_folded", "storm_incident", ["incident_id", "destination_id"], unique=True,
                    postgresql_where=sa.text("folded"))  # fmt: skip
    op.create_index(op.f("ix_storm_incident_incident_id"), "storm_incident", ["incident_id"])
    op.create_index(op.f("ix_storm_incident_destination_id"), "storm_incident", ["destination_id"])


def downgrade() -> None:
    op.drop_table("storm_incident")
    op.drop_table("storm")
    op.drop_index("ix_post_new_cards", table_name="post")
    op.execute("DELETE FROM post WHERE kind IN ('storm', 'summary')")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS_BEFORE}))
    """)
    op.drop_column("project", "storm_within_s")
    op.drop_column("project", "storm_cards")
