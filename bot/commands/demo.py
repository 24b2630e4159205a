"""`demo`: the bot in a workspace of its own, without Slack."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.commands.usage import load_settings, parse_number
from bot.demo import run


def demo(
    port: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            parser=parse_number(0, 65535),
            help="Where the page is served, or the next free port; 0: any.",
        ),
    ] = 8484,
    reset: Annotated[bool, typer.Option("--reset", help="Start again: forget what was done in the demo.")] = False,
) -> int:
    """Tries the bot without Slack.

    A workspace on this machine, in a browser, with people, two weeks of incidents, and alerts that arrive. It has its
    own database and goes on where it was stopped.
    """
    settings = load_settings()
    return run(settings, port, reset=reset)
