"""What a command on stored data works on, from its options, and who runs it."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import typer

from bot.cells.directory import DEFAULT, CellAway
from bot.cells.opening import Stores, open_stores
from bot.commands.usage import BadUsage
from bot.incidents.errors import InvalidInput
from bot.incidents.filters import moment
from bot.incidents.words import shorten
from bot.settings import Settings
from storage.audit_rows import Actor, AuditOrigin
from storage.engine import Store
from storage.queries.moving import list_moves
from storage.queries.tokens import get_organization_slugs


def get_operator(origin: AuditOrigin = AuditOrigin.COMMAND) -> Actor:
    """Who runs the command, for the audit log: the user of the operating system, and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have no name
        user = f"uid {os.getuid()}"
    return Actor(origin, name=f"{user}@{socket.gethostname()}")


@contextmanager
def open_organization(settings: Settings, slug: str | None) -> Iterator[tuple[Store, str, int]]:
    """The database of the organization of `--organization`, or of the only one, with its slug and id.

    Raises BadUsage, DatabaseAway.
    """
    with open_stores(settings) as stores:
        yield choose_organization(stores, slug)


def choose_organization(stores: Stores, slug: str | None) -> tuple[Store, str, int]:
    """What `open_organization` gives, of opened databases."""
    known = _list_organizations(stores)
    if slug is None and len(known) == 1 and None not in stores.values():
        [slug] = known
    if slug not in known:
        require_all(stores)
        there = f"There are {', '.join(sorted(known))}." if known else "There is none yet."
        if slug is None:
            raise BadUsage(f"--organization is missing. {there}")
        raise BadUsage(f"--organization: there is no organization {shorten(slug)!r}. {there}")
    store, id_ = known[slug]
    return store, slug, id_


def find_store(stores: Stores, slug: str) -> Store:
    """The database that has an organization, or where it is to be added. Raises DatabaseAway."""
    known = _list_organizations(stores)
    if slug in known:
        return known[slug][0]
    require_all(stores)
    first = stores[DEFAULT]
    assert first is not None
    return first


def require_all(stores: Stores) -> list[Store]:
    """The databases of all cells. Raises DatabaseAway if one of them is."""
    if away := [name for name, store in stores.items() if store is None]:
        raise CellAway(f"the cell {', '.join(away)} does not answer")
    return list_reached(stores)


def list_reached(stores: Stores) -> list[Store]:
    """The databases that answer. The others are named on stderr."""
    for name, store in stores.items():
        if store is None:
            typer.echo(f"The cell {name} does not answer, so what it has is missing here.", err=True)
    return [store for store in stores.values() if store is not None]


def list_cells_of(stores: Stores, slug: str) -> dict[str, int]:
    """The cells that have an organization, with its id: two while it is moved. Raises BadUsage, DatabaseAway."""
    found = {}
    for name, store in stores.items():
        if store is not None:
            with store.read() as connection:
                if (id_ := get_organization_slugs(connection).get(slug)) is not None:
                    found[name] = id_
    if not found:
        require_all(stores)
        raise BadUsage(f"ORGANIZATION: there is no organization {shorten(slug)!r}.")
    return found


def _list_organizations(stores: Stores) -> dict[str, tuple[Store, int]]:
    """The organizations by slug. One that is being moved counts where it is moved to, once it is there."""
    known: dict[str, tuple[Store, int]] = {}
    for store in stores.values():
        if store is not None:
            with store.read() as connection:
                leaving = list_moves(connection)
                for slug, id_ in get_organization_slugs(connection).items():
                    if slug not in known or id_ not in leaving:
                        known[slug] = (store, id_)
    return known


def parse_since(value: str | None, now: datetime) -> datetime | None:
    """The moment that `--since` means, in UTC; None without it. Raises BadUsage."""
    if value is None:
        return None
    try:
        return moment(value, "since", now, "UTC")
    except InvalidInput as error:
        raise BadUsage(f"--since: {error.sentence}") from None
