"""`move`: moves an organization to another cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from bot.cells.directory import CellAway
from bot.cells.opening import open_stores
from bot.commands.progress import show_progress
from bot.commands.targets import get_operator, list_cells_of
from bot.commands.usage import EXIT_OUTSIDE, BadUsage, load_settings
from bot.incidents.words import shorten
from bot.transfer.moving import Move, NotMovable, Stage, check_cells
from storage.queries.moving import list_tables


def move(
    organization: Annotated[str, typer.Argument(help="The organization's slug.", show_default=False)],
    cell: Annotated[str, typer.Argument(help="The cell that it is moved to.", show_default=False)],
    cancel: Annotated[bool, typer.Option("--cancel", help="Have it stay where it is.")] = False,
) -> int:
    """Moves an organization to another cell.

    Meanwhile its incidents can be read, but not changed, and alerts are answered that their senders should try again.
    A move that was interrupted goes on when it is run again.
    """
    with open_stores(load_settings()) as stores:
        if cell not in stores:
            raise BadUsage(f"CELL: there is no cell {shorten(cell)!r}. There are {', '.join(sorted(stores))}.")
        target = stores[cell]
        if target is None:
            raise CellAway(f"the cell {cell} does not answer")
        there = list_cells_of(stores, organization)
        source = next((name for name in there if name != cell), None)
        try:
            check_cells(stores, there, organization, cell)
            if source is None:
                typer.echo(f"{organization} is in the cell {cell} already.")
                return 0
            from_store = stores[source]
            assert from_store is not None
            moving = Move(from_store, target, there[source], organization, cell)
            with _explain_early_end(moving, organization, cell, source):
                if cancel:
                    stays = moving.cancel()
                    typer.echo(
                        f"{organization} stays in the cell {source}."
                        if stays
                        else f"{organization} is not being moved."
                    )
                    return 0
                with show_progress("Moving", len(list_tables())) as tick:
                    moving.run(get_operator(), from_cell=source, tick=tick)
        except NotMovable as error:
            typer.echo(f"{organization} is not moved: {error}.", err=True)
            return EXIT_OUTSIDE
    typer.echo(f"{organization} is in the cell {cell} now.")
    return 0


@contextmanager
def _explain_early_end(moving: Move, organization: str, cell: str, source: str) -> Iterator[None]:
    """Says in what state an organization is left by an error or by Ctrl-C."""
    try:
        yield
    except BaseException:
        if moving.stage is Stage.REFUSING:
            typer.echo(
                f"{organization} cannot be changed and nothing is sent until you run this again, or"
                f" `move {organization} {cell} --cancel`.",
                err=True,
            )
        elif moving.stage is Stage.ARRIVED:
            typer.echo(
                f"{organization} is in the cell {cell}. Run `move {organization} {cell}` again to delete what the cell"
                f" {source} still has.",
                err=True,
            )
        raise
