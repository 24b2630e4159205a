"""What the commands share: exit codes, the error of a wrong option, settings, and secrets from stdin."""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
from collections.abc import Callable
from datetime import datetime

from bot import log
from bot.incidents.errors import InvalidInput
from bot.incidents.filters import moment
from bot.incidents.words import shorten
from bot.intake.tokens import SECRET_MAX_LENGTH
from bot.settings import Settings
from storage.audit_rows import Actor, AuditOrigin
from storage.engine import Store
from storage.queries.tokens import get_organization_slugs

EXIT_OUTSIDE = 1
EXIT_USAGE = 2


class BadUsage(ValueError):
    """A command was given a wrong option or argument. The text names it."""


def parse_number(least: int, most: int | None = None) -> Callable[[object], int]:
    """A parser for an option or argument: a whole number in these bounds. It raises ValueError."""
    bounds = f"a number from {least} to {most}" if most is not None else "a number"

    def parse(value: object) -> int:
        text = str(value)
        if text.isascii() and text.isdigit() and least <= int(text[:20]) and (most is None or int(text[:20]) <= most):
            return int(text[:20])
        raise ValueError(f"{shorten(text)!r} is not {bounds}.")

    return parse


def load_settings() -> Settings:
    """The settings from the environment, with the log configured by them. Raises SettingsError."""
    settings = Settings.load()
    log.configure_from(settings)
    return settings


def read_secret_from_stdin(option: str = "--secret-stdin", what: str = "the client secret") -> str:
    """The secret on stdin. `option` and `what` name it in the error. Raises BadUsage where stdin holds more."""
    try:
        secret = sys.stdin.read(SECRET_MAX_LENGTH + 1).strip()
    except UnicodeDecodeError:
        secret = ""
    if len(secret) > SECRET_MAX_LENGTH or not re.fullmatch(r"[!-~]+", secret):
        raise BadUsage(f"{option}: stdin should hold {what} and nothing else")
    return secret


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
