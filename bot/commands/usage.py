"""What the commands share: exit codes, the error of a wrong option, settings, and secrets from stdin."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.incidents.words import shorten

if TYPE_CHECKING:
    from bot.settings import Settings

EXIT_OUTSIDE = 1
EXIT_USAGE = 2
# Sentry's client secrets have 64 characters; longer than this is something else.
SECRET_MAX_LENGTH = 1024


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
    from bot import log  # not for `--help`
    from bot.settings import Settings

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
