"""Foreign keys between tables of an organization have it in them, so that no row can name another organization's.

Each replaces one without it, so that an insert has as many to check as before. The version before bears them: a trigger
gives its rows their organization ("tenant01"). The new one is there and validated before the old one goes.

A change of a table asks for its lock for half a second, and `storage.migrate` tries again. Each step may be run again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "tenant02"
down_revision = "slackids01"
branch_labels = None
depends_on = None

# `member` has its constraint since "owners01".
PARENTS = ("workspace", "team", "project", "digest", "incident", "incident_activity", "post")
# Of each table: the columns, and what they refer to.
CASCADES = {
    "project_team": {"project_id": "project", "team_id": "team"},
    "project_channel": {"project_id": "project"},
    "member_slack_user": {"workspace_id": "workspace"},
    "member_team": {"member_id": "member", "team_id": "team"},
    "incident_project": {"incident_id": "incident", "project_id": "project"},
    "incident_seen": {"incident_id": "incident", "member_id": "member"},
    "incident_subscription": {"incident_id": "incident", "member_id": "member"},
    "incident_activity": {"incident_id": "incident"},
    "comment_mention": {"activity_id": "incident_activity", "member_id": "member", "team_id": "team"},
    "outbox": {"incident_id": "incident", "activity_id": "incident_activity"},
    "post": {"incident_id": "incident", "activity_id": "incident_activity", "card_id": "post"},
    "notification": {"activity_id": "incident_activity", "member_id": "member", "post_id": "post"},
    "thread_reply": {"activity_id": "incident_activity"},
    "call_step": {"incident_id": "incident", "team_id": "team"},
    "call_recipient": {"member_id": "member"},
    "digest": {"owner_id": "member", "workspace_id": "workspace"},
    "digest_fire": {"digest_id": "digest"},
    "personal_digest": {"workspace_id": "workspace"},
    "followed_filter": {"team_id": "team", "project_id": "project"},
    "handoff": {"workspace_id": "workspace"},
    "handoff_item": {"incident_id": "incident"},
    "owner_reminder": {"incident_id": "incident"},
    "form_text": {"member_id": "member"},
    "silence": {
        "workspace_id": "workspace",
        "project_id": "project",
        "incident_id": "incident",
        "member_id": "member",
    },
    "storm": {"post_id": "post"},
    "storm_incident": {"incident_id": "incident"},
    "intake_token": {"project_id": "project"},
}
NULLED = {
    "incident": {"team_id": "team"},
    "incident_activity": {"member_id": "member"},
    "call_recipient": {"post_id": "post"},
    "silence": {"ended_by": "member"},
    "storm": {"split_by": "member"},
    "alert_memory": {"incident_id": "incident"},
}
_OLD = """
SELECT conname FROM pg_constraint
WHERE contype = 'f' AND conrelid = CAST(:table AS regclass) AND conkey = ARRAY(
  SELECT attnum FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attname = :column)
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table in PARENTS:
            _add_unique(table)
        for table, references in CASCADES.items():
            for column, parent in references.items():
                _replace_key(table, column, parent, "CASCADE")
        for table, references in NULLED.items():
            for column, parent in references.items():
                _replace_key(table, column, parent, f"SET NULL ({column})")


def _run_briefly(statement: str) -> None:
    """Runs a statement in a transaction of its own. Whoever wants to use the table waits behind it."""
    op.execute(f"SET LOCAL lock_timeout = '500ms'; {statement}")


def _has_constraint(table: str, name: str) -> bool:
    found = sa.text(
        "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = CAST(:table AS regclass) AND conname = :name)"
    )
    return bool(op.get_bind().scalar(found, {"table": table, "name": name}))


def _add_unique(table: str) -> None:
    name = f"uq_{table}_organization_id_id"
    if not _has_constraint(table, name):
        # One that was interrupted leaves an index that is not valid.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} (organization_id, id)")
        _run_briefly(f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}")


def _replace_key(table: str, column: str, parent: str, action: str) -> None:
    name = f"fk_{table}_organization_id_{column}"
    if not _has_constraint(table, name):
        _run_briefly(f"""
            ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (organization_id, {column})
            REFERENCES {parent} (organization_id, id) ON DELETE {action} NOT VALID
        """)
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    for old in op.get_bind().scalars(sa.text(_OLD), {"table": table, "column": column}).all():
        _run_briefly(f"ALTER TABLE {table} DROP CONSTRAINT {old}")


def downgrade() -> None:
    for actions, action in ((CASCADES, "CASCADE"), (NULLED, "SET NULL")):
        for table, references in actions.items():
            for column, parent in references.items():
                op.create_foreign_key(f"fk_{table}_{column}", table, parent, [column], ["id"], ondelete=action)
                op.drop_constraint(f"fk_{table}_organization_id_{column}", table)
    for table in PARENTS:
        op.drop_constraint(f"uq_{table}_organization_id_id", table)
