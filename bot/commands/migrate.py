"""`migrate`: brings the database to the current schema."""

from __future__ import annotations

import typer

from bot.commands.usage import load_settings
from bot.database import migrate_database, open_database


def migrate_() -> int:
    """Brings the database to the current schema."""
    settings = load_settings()
    with open_database(settings) as url:
        before, after, _ = migrate_database(settings, url)
    if before == after:
        typer.echo(f"Nothing to do: the schema is at {after}.")
    else:
        typer.echo(f"The schema went from {before or 'nothing'} to {after}.")
    return 0
