"""`after-restore`: prepares a database that was restored from a backup, before the bot runs on it again."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cells.directory import DEFAULT, CellAway
from bot.cells.opening import Stores, open_stores
from bot.commands.targets import get_operator, require_all
from bot.commands.usage import EXIT_OUTSIDE, BadUsage, load_settings
from bot.incidents.words import shorten
from storage.engine import Store
from storage.queries import moving as queries
from storage.queries.tokens import get_organization_slugs


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
            raise CellAway(f"the cell {cell} does not answer")
        if left := _find_left_organizations(stores, store, cell):
            for slug, other in left.items():
                typer.echo(
                    f"{slug} is in the cell {other}, to which it was moved after the backup. Run `move {slug} {other}`,"
                    " which deletes what the backup has of it. Then run this again.",
                    err=True,
                )
            return EXIT_OUTSIDE
        for line in prepare(settings, store, get_operator()):
            typer.echo(line)
    return 0


def _find_left_organizations(stores: Stores, restored: Store, cell: str) -> dict[str, str]:
    """The organizations that have left since the backup, by slug, with the cell that has them.

    From then on they count as moved there: nothing is sent from here, and `move` deletes what is here. Raises
    DatabaseAway if a cell cannot be asked.
    """
    require_all(stores)
    with restored.read() as connection:
        here = get_organization_slugs(connection)
    left = {}
    for name, store in stores.items():
        if store is None or name == cell:
            continue
        with store.read() as connection:
            leaving = queries.list_moves(connection)
            there = get_organization_slugs(connection)
        for slug, id_ in here.items():
            if there.get(slug) == id_ and id_ not in leaving:
                _record_as_moved(restored, id_, name)
                left[slug] = name
    return left


def _record_as_moved(store: Store, organization_id: int, cell: str) -> None:
    now = store.clock.now()
    with store.write() as tx:
        queries.begin_move(tx, organization_id, cell, now)
        queries.pause(tx, queries.find_tenant(tx, organization_id), now)
