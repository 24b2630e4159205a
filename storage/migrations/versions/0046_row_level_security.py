"""Row-level security as a second wall: a transaction that names an organization writes rows of that one alone.

`tocsin.organization_id` names it, for the transaction (`SET LOCAL`). Where it is not set, as in the version before and
in workers, who serve all organizations, nothing is refused. The owner of the tables obeys, too; superusers do not.

Reading is let through: PostgreSQL would check each row before conditions that are not leakproof, so titles could not
be searched by index (docs/database.md has what it would cost). A policy for reading must be there all the same, or
nothing could be read.

`CASE` is there for the planner, who takes it for true of half of the rows. Of an equation it expects one in hundreds,
and prefers other plans.

A change of a table asks for its lock for half a second, and `storage.migrate` tries again. Each step may be run again.
"""

from __future__ import annotations

from alembic import op

revision = "tenant03"
down_revision = "disconnect01"
branch_labels = None
depends_on = None

_NAMED = "nullif(current_setting('tocsin.organization_id', true), '')::bigint"
_BY_ORGANIZATION = f"CASE WHEN organization_id <> {_NAMED} THEN false ELSE true END"
_BY_WORKSPACE = f"""
CASE WHEN {_NAMED} IS NULL THEN true
     ELSE workspace_id IN (SELECT w.id FROM workspace w WHERE w.organization_id = {_NAMED}) END
"""  # noqa: S608 - composed of constants
POLICIES = {
    "organization": f"CASE WHEN id <> {_NAMED} THEN false ELSE true END",
    **dict.fromkeys(
        (
            "alert_memory",
            "audit_entry",
            "call_recipient",
            "call_step",
            "comment_mention",
            "digest",
            "digest_fire",
            "followed_filter",
            "form_text",
            "handoff",
            "handoff_item",
            "incident",
            "incident_activity",
            "incident_project",
            "incident_seen",
            "incident_subscription",
            "intake_token",
            "join_request",
            "member",
            "member_slack_user",
            "member_team",
            "notification",
            "organization_move",
            "outbox",
            "owner_reminder",
            "personal_digest",
            "post",
            "project",
            "project_channel",
            "project_team",
            "silence",
            "storm",
            "storm_incident",
            "team",
            "thread_reply",
            "workspace",
            "workspace_request",
        ),
        _BY_ORGANIZATION,
    ),
    **dict.fromkeys(
        ("destination", "handled_request", "method_pace", "slack_person", "usergroup", "usergroup_user"),
        _BY_WORKSPACE,
    ),
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # It came beside "tenant02", which did the same for the others.
        op.execute("""
            SET LOCAL lock_timeout = '500ms';
            ALTER TABLE join_request DROP CONSTRAINT IF EXISTS fk_join_request_workspace_id,
            DROP CONSTRAINT IF EXISTS fk_join_request_organization_id_workspace_id,
            ADD CONSTRAINT fk_join_request_organization_id_workspace_id FOREIGN KEY (organization_id, workspace_id)
            REFERENCES workspace (organization_id, id) ON DELETE CASCADE
        """)
        for table, condition in POLICIES.items():
            op.execute(f"""
                SET LOCAL lock_timeout = '500ms';
                DROP POLICY IF EXISTS tenant_select ON {table};
                DROP POLICY IF EXISTS tenant_insert ON {table};
                DROP POLICY IF EXISTS tenant_update ON {table};
                DROP POLICY IF EXISTS tenant_delete ON {table};
                CREATE POLICY tenant_select ON {table} FOR SELECT USING (true);
                CREATE POLICY tenant_insert ON {table} FOR INSERT WITH CHECK ({condition});
                CREATE POLICY tenant_update ON {table} FOR UPDATE USING ({condition});
                CREATE POLICY tenant_delete ON {table} FOR DELETE USING ({condition});
                ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
            """)


def downgrade() -> None:
    op.create_foreign_key(
        "fk_join_request_workspace_id", "join_request", "workspace", ["workspace_id"], ["id"], ondelete="CASCADE"
    )
    op.drop_constraint("fk_join_request_organization_id_workspace_id", "join_request")
    for table in POLICIES:
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
        for action in ("select", "insert", "update", "delete"):
            op.execute(f"DROP POLICY tenant_{action} ON {table}")
