"""Alembic's entry: runs the migrations on the connection that `storage.migrate` hands over."""

from __future__ import annotations

from alembic import context

from storage.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=True,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
