"""`apply`: makes the database's organization match an organization file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cells.opening import Stores, open_stores
from bot.commands.targets import find_store, get_operator, require_all
from bot.commands.usage import load_settings
from bot.organization.apply import apply, check_workspaces, list_new_workspaces
from bot.organization.file import OrganizationFile, load
from bot.organization.plan import ChangeKind, Plan
from storage.audit_rows import AuditOrigin
from storage.engine import Store


def apply_(
    file: Annotated[Path, typer.Argument(help="The organization file, YAML.", show_default=False)],
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the file no longer names.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")] = False,
) -> int:
    """Applies an organization file.

    The organization in the database then matches the file; what differs is printed.
    """
    settings = load_settings()
    organization = load(file)
    with open_stores(settings) as stores:
        store = find_store(stores, organization.organization.slug)
        _check_other_cells(stores, store, organization)
        actor = get_operator(AuditOrigin.FILE)
        result = apply(store, organization, store.clock.now(), prune=prune, dry_run=dry_run, actor=actor)
    _print_difference(result, organization.organization.slug, dry_run=dry_run)
    return 0


def _check_other_cells(stores: Stores, store: Store, organization: OrganizationFile) -> None:
    """Raises NotApplicable for a new workspace that another cell has, DatabaseAway if one cannot be asked."""
    with store.read() as connection:
        if not list_new_workspaces(connection, organization):
            return
    for other in require_all(stores):
        with other.read() as connection:
            check_workspaces(connection, organization)


def _print_difference(result: Plan, slug: str, *, dry_run: bool) -> None:
    for kind in (ChangeKind.ADDED, ChangeKind.CHANGED, ChangeKind.REMOVED, ChangeKind.KEPT):
        for change in result.changes_of(kind):
            typer.echo(change.format())
    if result.changes_of(ChangeKind.KEPT):
        typer.echo("What is kept is not in the file; --prune removes it.")
    counts = ", ".join(
        f"{len(result.changes_of(k))} {k}" for k in (ChangeKind.ADDED, ChangeKind.CHANGED, ChangeKind.REMOVED)
    )
    if result.empty:
        typer.echo(f"Nothing to do: {slug} is as the file says.")
    else:
        typer.echo(f"{slug}: {counts}. {'Nothing was written: --dry-run.' if dry_run else ''}".rstrip())
