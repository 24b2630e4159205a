"""Direct messages to somebody who follows much that changes at once become a summary: an index of their messages."""

from __future__ import annotations

from alembic import op

revision = "storms02"
down_revision = "digests04"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # One that was interrupted leaves an index that is not valid.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_post_news")
        op.execute("""
            CREATE INDEX CONCURRENTLY ix_post_news ON post (destination_id, date_added)
            WHERE kind IN ('notification', 'newest', 'older', 'summary')
        """)


def downgrade() -> None:
    op.drop_index("ix_post_news", table_name="post")
