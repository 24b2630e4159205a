"""How long closed incidents and the audit log are kept, and legal hold. The version before removes nothing."""

from __future__ import annotations

from alembic import op

revision = "retention01"
down_revision = "oauth01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("""
        ALTER TABLE organization
          ADD COLUMN IF NOT EXISTS retention_closed_incidents_s bigint,
          ADD COLUMN IF NOT EXISTS retention_audit_s bigint,
          ADD COLUMN IF NOT EXISTS legal_hold boolean NOT NULL DEFAULT false
    """)
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS legal_hold boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE member ADD COLUMN IF NOT EXISTS date_erased timestamptz")


def downgrade() -> None:
    for column in ("retention_closed_incidents_s", "retention_audit_s", "legal_hold"):
        op.drop_column("organization", column)
    op.drop_column("incident", "legal_hold")
    op.drop_column("member", "date_erased")
