"""`doctor`: checks the whole setup."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from bot import log
from bot.commands.usage import EXIT_OUTSIDE
from bot.doctor import bad_settings, examine
from bot.doctor.finding import Finding
from bot.settings import LogLevel, Settings, SettingsError


def doctor() -> int:
    """Checks the whole setup.

    It checks settings, database, schema, Slack tokens, scopes and channels, and says how to fix each problem.
    """

    def print_finding(finding: Finding, secrets: Sequence[str] = ()) -> None:
        typer.echo(log.redact(finding.line(), secrets))

    try:
        settings = Settings.load()
    except SettingsError as error:
        for line in error.sentence.splitlines():
            print_finding(bad_settings(line))
        return EXIT_OUTSIDE
    # What the libraries would log about a fault is in its line.
    log.configure(LogLevel.CRITICAL, settings.log_format, secrets=settings.secrets)
    sound = examine(settings, lambda finding: print_finding(finding, settings.secrets))
    return 0 if sound else EXIT_OUTSIDE
