"""Moving an organization to another database: what is recorded, and what then refuses changes.

The function is called by triggers that exist only while an organization is moved (`storage.queries.moving`). What
background work changes meanwhile is let pass, because it is done again where the organization is moved to; nothing of
it is sent.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "moves01"
down_revision = "joining01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "organization_move",
        sa.Column(
            "organization_id",
            sa.BigInteger,
            sa.ForeignKey("organization.id", name="fk_organization_move_organization_id", ondelete="CASCADE"),
        ),
        sa.Column("cell", sa.Text, nullable=False),
        sa.Column("date_started", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name="pk_organization_move"),
    )
    op.execute("""
        CREATE FUNCTION refuse_while_moved() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF TG_ARGV[0] = 'people' AND current_setting('tocsin.background', true) = 'on' THEN
            RETURN coalesce(NEW, OLD);
          END IF;
          RAISE EXCEPTION 'the organization is being moved to another database' USING ERRCODE = 'TCM01';
        END $$
    """)


def downgrade() -> None:
    op.execute("DROP FUNCTION refuse_while_moved")
    op.drop_table("organization_move")
