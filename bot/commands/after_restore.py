"""`after-restore`: prepares a database that was restored from a backup, before the bot runs on it again."""

from __future__ import annotations

import typer

from bot.commands.targets import get_operator
from bot.commands.usage import load_settings
from bot.database import open_store


def after_restore() -> int:
    """Prepares a database that was restored from a backup. Run it once, before the bot starts again.

    The bot then looks in Slack for each message that the backup has as not sent yet, and sends only what is missing. It
    says what it cannot know. docs/backup.md explains the whole procedure.
    """
    settings = load_settings()
    from bot.restoration import prepare  # loaded once it is needed

    with open_store(settings) as store:
        for line in prepare(settings, store, get_operator()):
            typer.echo(line)
    return 0
