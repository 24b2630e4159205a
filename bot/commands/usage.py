"""What the commands share: exit codes, the error of a wrong option, settings, and secrets from stdin."""

from __future__ import annotations

import re
import sys

from bot import log
from bot.intake.tokens import SECRET_MAX_LENGTH
from bot.settings import Settings

EXIT_OUTSIDE = 1
EXIT_USAGE = 2


class BadUsage(ValueError):
    """A command was given a wrong option or argument. The text names it."""


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
