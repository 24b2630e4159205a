"""The audit log. The version before writes nothing into it.

Entries never change. A trigger refuses to delete them, except in a transaction that has recorded a retention, and to
update them, except in one that has recorded an erasing. They are also deleted with their organization.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "audit01"
down_revision = "members01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("organization_id", sa.BigInteger, sa.ForeignKey("organization.id", ondelete="CASCADE")),
        sa.Column("id", sa.BigInteger, sa.Identity()),
        sa.Column("date_added", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("workspace_id", sa.Text),
        sa.Column("member_id", sa.BigInteger),
        sa.Column("actor", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("subject_member_id", sa.BigInteger),
        sa.Column("before", JSONB),
        sa.Column("after", JSONB),
        sa.Column("transaction_id", sa.BigInteger, server_default=sa.text("txid_current()"), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_audit_entry"),
        sa.ForeignKeyConstraint(
            ["organization_id", "member_id"],
            ["member.organization_id", "member.id"],
            name="fk_audit_entry_organization_id_member_id",
            ondelete="SET NULL (member_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "subject_member_id"],
            ["member.organization_id", "member.id"],
            name="fk_audit_entry_organization_id_subject_member_id",
            ondelete="SET NULL (subject_member_id)",
        ),
    )
    op.create_index(
        "ix_audit_entry_date", "audit_entry", ["organization_id", sa.text("date_added DESC"), sa.text("id DESC")]
    )
    op.create_index("ix_audit_entry_member", "audit_entry", ["organization_id", "member_id"])
    op.create_index("ix_audit_entry_subject_member", "audit_entry", ["organization_id", "subject_member_id"])
    op.create_index(
        "ix_audit_entry_passes",
        "audit_entry",
        ["organization_id", "transaction_id"],
        postgresql_where=sa.text("action IN ('data.retention', 'member.erase')"),
    )
    op.execute("""
        CREATE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF TG_OP <> 'TRUNCATE' THEN
            PERFORM FROM (SELECT DISTINCT organization_id AS id FROM changed) o
              WHERE EXISTS (SELECT FROM organization WHERE id = o.id) AND NOT EXISTS
                (SELECT FROM audit_entry e WHERE e.organization_id = o.id AND e.transaction_id = txid_current()
                 AND e.action = CASE TG_OP WHEN 'DELETE' THEN 'data.retention' ELSE 'member.erase' END
                 AND e.action IN ('data.retention', 'member.erase'));
            IF NOT FOUND THEN
              RETURN NULL;
            END IF;
          END IF;
          RAISE EXCEPTION 'entries of the audit log are not changed'
            USING ERRCODE = 'restrict_violation', HINT = 'See docs/data.md.';
        END $$
    """)
    for when, name, referencing in (
        ("DELETE", "delete", "REFERENCING OLD TABLE AS changed"),
        ("UPDATE", "update", "REFERENCING OLD TABLE AS changed"),
        ("TRUNCATE", "truncate", ""),
    ):
        op.execute(f"""
            CREATE TRIGGER keep_audit_log_on_{name} AFTER {when} ON audit_entry {referencing}
            FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log()
        """)


def downgrade() -> None:
    op.drop_table("audit_entry")
    op.execute("DROP FUNCTION keep_audit_log")
