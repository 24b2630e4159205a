"""`migrate`: brings the database to the current schema."""

from __future__ import annotations

import typer

from bot.cells.directory import DEFAULT
from bot.cells.distinct import check_distinct
from bot.cells.opening import migrate_cell, open_stores
from bot.commands.targets import require_all
from bot.commands.usage import load_settings
from bot.database import migrate_database, open_database


def migrate_() -> int:
    """Brings the database to the current schema."""
    settings = load_settings()
    with open_database(settings) as url:
        if settings.cells:
            check_distinct({DEFAULT: url, **settings.cells})
        before, after, _ = migrate_database(settings, url)
    _report("", before, after)
    for name, url in settings.cells.items():
        before, after = migrate_cell(name, url)[:2]
        _report(f"{name}: ", before, after)
    if settings.cells:
        with open_stores(settings) as stores:  # gives new cells their numbers
            require_all(stores)
    return 0


def _report(cell: str, before: str | None, after: str) -> None:
    if before == after:
        typer.echo(f"{cell}Nothing to do: the schema is at {after}.")
    else:
        typer.echo(f"{cell}The schema went from {before or 'nothing'} to {after}.")
