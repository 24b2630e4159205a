"""Direct messages are kept current: the newest about an incident shows its state, older ones become a line.

A sent message gets a kind of its own, so that the version before does not render it in its way: it leaves kinds that
it does not know to this version. What that version has sent is ranked with the next message to the same person.
"""

from __future__ import annotations

from alembic import op

revision = "delivery03"
down_revision = "activity01"
branch_labels = None
depends_on = None

_KINDS = "'card', 'mirror', 'amendment', 'notification', 'newest', 'older', 'digest', 'note'"


def upgrade() -> None:
    # Whoever wants to use the table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT IF EXISTS ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS})) NOT VALID
    """)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE post VALIDATE CONSTRAINT ck_post_kind_known")
        # One that was interrupted leaves an index that is not valid.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS uq_post_newest")
        op.execute("""
            CREATE UNIQUE INDEX CONCURRENTLY uq_post_newest ON post (incident_id, destination_id)
            WHERE kind = 'newest'
        """)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_post_notification")
        op.execute("""
            CREATE INDEX CONCURRENTLY ix_post_notification ON post (incident_id, destination_id)
            WHERE kind = 'notification'
        """)


def downgrade() -> None:
    op.drop_index("ix_post_notification", table_name="post")
    op.drop_index("uq_post_newest", table_name="post")
    op.execute("""
        UPDATE post SET kind = 'notification', drawn_version = wanted_version, date_done = coalesce(date_done, now())
        WHERE kind IN ('newest', 'older')
    """)
    op.execute("""
        ALTER TABLE post DROP CONSTRAINT ck_post_kind_known, ADD CONSTRAINT ck_post_kind_known
        CHECK (kind IN ('card', 'mirror', 'amendment', 'notification', 'digest', 'note'))
    """)
