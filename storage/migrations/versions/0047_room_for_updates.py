"""Room for new versions of rows beside the old ones, and a vacuum after fewer changes, where rows change often.

With room on its page, an update that changes no indexed column needs no new entry in any index, and what an earlier
one left is removed by the next. PostgreSQL's default is to vacuum a table after a fifth of its rows has changed, which
lets the indexes of busy tables grow to nearly twice their size. `python -m benchmarks.bloat` measures it. Pages that
are full already get their room as their rows change.

Each statement takes a lock that lets others read and write; it may be run again.
"""

from __future__ import annotations

from alembic import op

revision = "bloat01"
down_revision = "tenant03"
branch_labels = None
depends_on = None

# By table, how full a page is made, in per cent, and after which part of the rows has changed it is vacuumed. What
# changes in `post`, `incident` and `incident_project` is indexed, so room on the page would save nothing there.
SETTINGS = {
    "destination": (50, 0.05),
    "digest": (70, 0.05),
    "digest_fire": (80, 0.05),
    "incident_seen": (90, 0.1),
    "alert_memory": (80, 0.05),
    "post": (100, 0.05),
    "incident": (100, 0.05),
    "incident_project": (100, 0.05),
    "outbox": (100, 0.05),
    "handled_request": (100, 0.05),
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table, (full, changed) in SETTINGS.items():
            op.execute(
                "SET LOCAL lock_timeout = '500ms';"
                f" ALTER TABLE {table} SET (fillfactor = {full}, autovacuum_vacuum_scale_factor = {changed})"
            )


def downgrade() -> None:
    for table in SETTINGS:
        op.execute(f"ALTER TABLE {table} RESET (fillfactor, autovacuum_vacuum_scale_factor)")
