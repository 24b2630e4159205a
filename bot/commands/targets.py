"""What a command on stored data works on, from its options, and who runs it."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import datetime

from bot.commands.usage import BadUsage
from bot.incidents.errors import InvalidInput
from bot.incidents.filters import moment
from bot.incidents.words import shorten
from storage.audit_rows import Actor, AuditOrigin
from storage.engine import Store
from storage.queries.tokens import get_organization_slugs


def get_operator(origin: AuditOrigin = AuditOrigin.COMMAND) -> Actor:
    """Who runs the command, for the audit log: the user of the operating system, and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have no name
        user = f"uid {os.getuid()}"
    return Actor(origin, name=f"{user}@{socket.gethostname()}")


def choose_organization(store: Store, slug: str | None) -> tuple[str, int]:
    """The slug and id of the organization of `--organization`, or of the only one. Raises BadUsage."""
    with store.read() as connection:
        known = get_organization_slugs(connection)
    if slug is None and len(known) == 1:
        return next(iter(known.items()))
    there = f"There are {', '.join(sorted(known))}." if known else "There is none yet."
    if slug is None:
        raise BadUsage(f"--organization is missing. {there}")
    if slug not in known:
        raise BadUsage(f"--organization: there is no organization {shorten(slug)!r}. {there}")
    return slug, known[slug]


def parse_since(value: str | None, now: datetime) -> datetime | None:
    """The moment that `--since` means, in UTC; None without it. Raises BadUsage."""
    if value is None:
        return None
    try:
        return moment(value, "since", now, "UTC")
    except InvalidInput as error:
        raise BadUsage(f"--since: {error.sentence}") from None
