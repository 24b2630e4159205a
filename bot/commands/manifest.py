"""`manifest`: prints the Slack app manifest."""

from __future__ import annotations

import json
import re
from typing import Annotated
from urllib.parse import urlsplit

import typer

from bot.commands.usage import BadUsage, load_settings
from bot.incidents.words import shorten
from bot.settings import Mode
from bot.slack.manifest import manifest

# Of the request URLs of a manifest, a slash command's may be the shortest: 3,000 characters with the path behind it.
_LONGEST_ADDRESS = 2900


def manifest_(
    http: Annotated[
        str | None,
        typer.Option("--http", help="For HTTP mode: where Slack reaches this bot. There, PUBLIC_URL if not given."),
    ] = None,
    many: Annotated[
        bool,
        typer.Option("--many", help="For installation in many workspaces, over HTTP. docs/workspaces.md says how."),
    ] = False,
) -> int:
    """Prints the Slack app manifest.

    At api.slack.com/apps choose Create New App, From a manifest, and paste it.
    """
    settings = load_settings()
    if http is not None:
        _check_public(http, "--http")
    elif settings.public_url and (many or settings.mode is Mode.HTTP):
        http = settings.public_url
        _check_public(http, "PUBLIC_URL")
    elif many:
        raise BadUsage("--many: needs the address under which Slack reaches this bot, as --http or PUBLIC_URL")
    typer.echo(json.dumps(manifest(settings.slack_command, http, many=many), indent=2))
    return 0


def _check_public(address: str, source: str) -> None:
    """Refuses an address that Slack could not send requests to. `source` is who gave it. Raises BadUsage."""
    try:
        parts = urlsplit(address)
        sound = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"[\s?#@]", address) or len(address) > _LONGEST_ADDRESS:
        raise BadUsage(f"{source}: {shorten(address)!r} should be an address like https://tocsin.example.com")
