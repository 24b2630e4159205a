"""An incident may have an owner, and the log has who owned it before.

Each step may be run again. The version before knows no owners, and leaves entries of their type out where people read.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "owners01"
down_revision = "delivery04"
branch_labels = None
depends_on = None

_TYPES = "ck_incident_activity_type_known"
_MEMBER = "uq_member_organization_id_id"
_OWNER = "fk_incident_organization_id_owner_id"


def upgrade() -> None:
    # Whoever wants to read these tables waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    for table, column, kind in (
        ("incident", "owner_id", "bigint"),
        ("incident", "owned_since", "timestamptz"),
        ("incident_activity", "owner_id", "bigint"),
        ("incident_activity", "previous_owner_id", "bigint"),
    ):
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {kind}")
    op.execute(f"ALTER TABLE incident_activity DROP CONSTRAINT IF EXISTS {_TYPES}")
    op.execute(f"""
        ALTER TABLE incident_activity ADD CONSTRAINT {_TYPES} CHECK (type IN (1, 2, 3, 4, 100, 105)) NOT VALID
    """)
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE incident_activity VALIDATE CONSTRAINT {_TYPES}")
        # One that was interrupted leaves an index that is not valid.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_incident_owner")
        op.execute("""
            CREATE INDEX CONCURRENTLY ix_incident_owner
            ON incident (owner_id, date_started DESC, id DESC) WHERE owner_id IS NOT NULL
        """)
        if not _has_constraint(_MEMBER):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_MEMBER}")
            op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {_MEMBER} ON member (organization_id, id)")
            op.execute(f"ALTER TABLE member ADD CONSTRAINT {_MEMBER} UNIQUE USING INDEX {_MEMBER}")
        if not _has_constraint(_OWNER):
            op.execute(f"""
                ALTER TABLE incident ADD CONSTRAINT {_OWNER} FOREIGN KEY (organization_id, owner_id)
                REFERENCES member (organization_id, id) ON DELETE SET NULL (owner_id) NOT VALID
            """)
        op.execute(f"ALTER TABLE incident VALIDATE CONSTRAINT {_OWNER}")


def _has_constraint(name: str) -> bool:
    found = sa.text("SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = :name)")
    return bool(op.get_bind().scalar(found, {"name": name}))


def downgrade() -> None:
    op.execute("DELETE FROM incident_activity WHERE type = 100")
    op.execute(f"ALTER TABLE incident_activity DROP CONSTRAINT {_TYPES}")
    op.create_check_constraint("type_known", "incident_activity", "type IN (1, 2, 3, 4, 105)")
    op.drop_column("incident_activity", "previous_owner_id")
    op.drop_column("incident_activity", "owner_id")
    op.drop_constraint(_OWNER, "incident", type_="foreignkey")
    op.drop_constraint(_MEMBER, "member", type_="unique")
    op.drop_column("incident", "owned_since")
    op.drop_column("incident", "owner_id")
