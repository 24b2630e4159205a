"""Somebody is called for an incident until somebody has it, by the rules of its team.

Each step may be run again. The version before makes no calls, and leaves their messages and log entries to this one.
"""

from __future__ import annotations

from alembic import op

revision = "calls01"
down_revision = "handoffs01"
branch_labels = None
depends_on = None

_TYPES = "ck_incident_activity_type_known"
_KINDS = (
    "'card', 'mirror', 'amendment', 'notification', 'newest', 'older', 'digest', 'note', 'handoff', 'handoff_answer'"
)
_NEW_COLUMNS = (
    ("team", "oncall_usergroup", "text"),
    ("team", "oncall_channel", "text"),
    ("team", "timezone", "text"),
    ("team", "calls", "jsonb"),
    ("team", "form_calls", "jsonb"),
    ("incident_activity", "call", "jsonb"),
)


def upgrade() -> None:
    # Whoever wants to use these tables waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    for table, column, kind in _NEW_COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {kind}")
    op.execute(f"""
        ALTER TABLE incident_activity DROP CONSTRAINT IF EXISTS {_TYPES},
        ADD CONSTRAINT {_TYPES} CHECK (type IN (1, 2, 3, 4, 100, 101, 102, 105, 106)) NOT VALID
    """)
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT IF EXISTS ck_post_kind_known,
        ADD CONSTRAINT ck_post_kind_known CHECK (kind IN ({_KINDS}, 'call')) NOT VALID
    """)
    op.execute("""
        CREATE TABLE IF NOT EXISTS call_step (
          organization_id bigint NOT NULL
            CONSTRAINT fk_call_step_organization_id REFERENCES organization (id) ON DELETE CASCADE,
          incident_id bigint NOT NULL CONSTRAINT fk_call_step_incident_id REFERENCES incident (id) ON DELETE CASCADE,
          round smallint NOT NULL,
          step smallint NOT NULL,
          repetition bigint NOT NULL,
          team_id bigint NOT NULL CONSTRAINT fk_call_step_team_id REFERENCES team (id) ON DELETE CASCADE,
          severity smallint NOT NULL,
          who text NOT NULL,
          after_s bigint NOT NULL,
          repeat_s bigint,
          quiet text,
          until text NOT NULL,
          since timestamptz NOT NULL,
          due_at timestamptz,
          outcome text,
          date_done timestamptz,
          CONSTRAINT pk_call_step PRIMARY KEY (organization_id, incident_id, round, step, repetition)
        )
    """)
    op.execute("CREATE INDEX IF NOT EXISTS ix_call_step_due_at ON call_step (due_at) WHERE due_at IS NOT NULL")
    op.execute("CREATE INDEX IF NOT EXISTS ix_call_step_incident_id ON call_step (incident_id)")
    op.execute("CREATE INDEX IF NOT EXISTS ix_call_step_team_id ON call_step (team_id)")
    op.execute("""
        CREATE TABLE IF NOT EXISTS call_recipient (
          organization_id bigint NOT NULL,
          incident_id bigint NOT NULL,
          round smallint NOT NULL,
          step smallint NOT NULL,
          repetition bigint NOT NULL,
          member_id bigint NOT NULL CONSTRAINT fk_call_recipient_member_id REFERENCES member (id) ON DELETE CASCADE,
          post_id bigint CONSTRAINT fk_call_recipient_post_id REFERENCES post (id) ON DELETE SET NULL,
          date_declined timestamptz,
          CONSTRAINT pk_call_recipient
            PRIMARY KEY (organization_id, incident_id, round, step, repetition, member_id),
          CONSTRAINT fk_call_recipient_organization_id FOREIGN KEY
            (organization_id, incident_id, round, step, repetition) REFERENCES call_step ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX IF NOT EXISTS ix_call_recipient_incident_id ON call_recipient (incident_id)")
    op.execute("CREATE INDEX IF NOT EXISTS ix_call_recipient_member_id ON call_recipient (member_id)")
    op.execute("CREATE INDEX IF NOT EXISTS ix_call_recipient_post_id ON call_recipient (post_id)")
    op.execute("""
        CREATE TABLE IF NOT EXISTS usergroup (
          workspace_id text NOT NULL
            CONSTRAINT fk_usergroup_workspace_id REFERENCES workspace (id) ON DELETE CASCADE,
          id text NOT NULL,
          date_checked timestamptz,
          date_read timestamptz,
          asked_until timestamptz,
          version bigint NOT NULL DEFAULT 0,
          problem text,
          CONSTRAINT pk_usergroup PRIMARY KEY (workspace_id, id)
        )
    """)
    op.execute("""
        CREATE TABLE IF NOT EXISTS usergroup_user (
          workspace_id text NOT NULL,
          usergroup_id text NOT NULL,
          user_id text NOT NULL,
          CONSTRAINT pk_usergroup_user PRIMARY KEY (workspace_id, usergroup_id, user_id),
          CONSTRAINT fk_usergroup_user_workspace_id FOREIGN KEY (workspace_id, usergroup_id)
            REFERENCES usergroup ON DELETE CASCADE
        )
    """)
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE incident_activity VALIDATE CONSTRAINT {_TYPES}")
        op.execute("ALTER TABLE post VALIDATE CONSTRAINT ck_post_kind_known")


def downgrade() -> None:
    op.execute("DELETE FROM post WHERE kind = 'call'")
    op.execute("DELETE FROM incident_activity WHERE type = 101")
    op.execute(f"""
        ALTER TABLE post DROP CONSTRAINT ck_post_kind_known, ADD CONSTRAINT ck_post_kind_known
        CHECK (kind IN ({_KINDS}))
    """)
    op.execute(f"ALTER TABLE incident_activity DROP CONSTRAINT {_TYPES}")
    op.create_check_constraint("type_known", "incident_activity", "type IN (1, 2, 3, 4, 100, 102, 105, 106)")
    for table in ("usergroup_user", "usergroup", "call_recipient", "call_step"):
        op.drop_table(table)
    for table, column, _kind in reversed(_NEW_COLUMNS):
        op.drop_column(table, column)
