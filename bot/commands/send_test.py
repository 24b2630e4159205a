"""`send-test`: posts an alert of a source to the running bot."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import typer

from bot import log
from bot.commands.usage import EXIT_OUTSIDE, BadUsage, load_settings, read_secret_from_stdin
from bot.intake import send_test
from bot.intake.tokens import Source
from bot.settings import Settings


def send_test_(
    source: Annotated[Source, typer.Argument(help="Whose alert to send.", show_default=False)],
    token: Annotated[
        str | None,
        typer.Option(
            envvar="TOCSIN_TOKEN",
            help="The token; for sentry, the path or its ID. On a command line others on this machine can read it.",
            show_default=False,
        ),
    ] = None,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read the token from stdin.")] = False,
    resolved: Annotated[bool, typer.Option("--resolved", help="Send the end of the test alert.")] = False,
    project: Annotated[str | None, typer.Option(help="For a token that is for no project in particular.")] = None,
    url: Annotated[str | None, typer.Option(help="Where the bot serves HTTP; as set here by default.")] = None,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="For sentry: read the client secret from stdin.")
    ] = False,
) -> int:
    """Posts a test alert to the running bot.

    It looks like a real one of the source, and the incident that it becomes is printed.
    """
    settings = load_settings()
    base = (url or _own_address(settings)).rstrip("/")
    if not re.match(r"https?://[^/]", base):
        raise BadUsage(f"--url: {base} should be an http or https URL, like http://127.0.0.1:3000")
    # By this machine's clock: it plays a system outside, which has no other.
    body = send_test.build_payload(source, datetime.now(UTC), resolved=resolved, project=project)
    if token_stdin and source is Source.SENTRY:
        raise BadUsage("--token-stdin: for sentry, stdin holds the client secret; its path is no secret")
    if token_stdin:
        token = read_secret_from_stdin("--token-stdin", "the token")
    if token is None:
        raise BadUsage("--token-stdin: the token is needed, on stdin or in TOCSIN_TOKEN")
    if source is Source.SENTRY:
        token_id = re.fullmatch(r"(?:/?intake/sentry/)?([0-9]+)", token)
        if token_id is None:
            raise BadUsage("--token: for sentry, this is the path that `token create` printed, /intake/sentry/ID")
        if not secret_stdin:
            raise BadUsage("--secret-stdin: Sentry's alerts are signed; the client secret is needed on stdin")
        answer = send_test.send(f"{base}/intake/sentry/{token_id[1]}", body, secret=read_secret_from_stdin())
    else:
        if not re.fullmatch(r"[!-~]+", token):
            raise BadUsage("--token: holds blanks or other characters that no token has")
        answer = send_test.send(f"{base}/intake/{source}", body, token=token)
    for error in answer.errors:
        typer.echo(log.redact(error), err=True)
    if answer.errors or answer.status != HTTPStatus.ACCEPTED:
        return EXIT_OUTSIDE
    for number in answer.accepted:
        typer.echo(f"Incident #{number}")
    if not answer.accepted:
        typer.echo("Taken, and no incident concerned.")
    return 0


def _own_address(settings: Settings) -> str:
    # An address to listen on everywhere is none to connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http_host, settings.http_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http_port}"
