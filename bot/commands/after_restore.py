"""`after-restore`: prepares a database that was restored from a backup, before the bot runs on it again."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cells.directory import DEFAULT
from bot.cells.opening import open_stores
from bot.commands.targets import get_operator
from bot.commands.usage import BadUsage, load_settings
from bot.incidents.words import shorten
from storage.errors import DatabaseAway


def after_restore(
    cell: Annotated[str, typer.Option(metavar="NAME", help="Whose database it is, if there are several.")] = DEFAULT,
) -> int:
    """Prepares a database that was restored from a backup. Run it once, before the bot starts again.

    The bot then looks in Slack for each message that the backup has as not sent yet, and sends only what is missing. It
    says what it cannot know. docs/backup.md explains the whole procedure.
    """
    settings = load_settings()
    from bot.restoration import prepare  # loaded once it is needed

    with open_stores(settings) as stores:
        if cell not in stores:
            raise BadUsage(f"--cell: there is no cell {shorten(cell)!r}. There are {', '.join(sorted(stores))}.")
        store = stores[cell]
        if store is None:
            raise DatabaseAway(f"the cell {cell} does not answer")
        for line in prepare(settings, store, get_operator()):
            typer.echo(line)
    return 0
