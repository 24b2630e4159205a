"""The commands of `run_bot.py`. What they do is done elsewhere; words, streams and exit codes are decided here.

0: done. 1: something outside is not as it should be (the database is away). 2: the command, a setting or a file
is wrong, and nothing was changed. What a script reads goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from sqlalchemy import exc

from bot import __version__, log
from bot.commands.after_restore import after_restore
from bot.commands.audit import audit_
from bot.commands.organization import apply_
from bot.commands.reencrypt import reencrypt
from bot.commands.send_test import send_test_
from bot.commands.tokens import token_create, token_list, token_revoke
from bot.commands.transfer import export, import_
from bot.commands.usage import EXIT_OUTSIDE, EXIT_USAGE, BadUsage, load_settings, parse_number
from bot.database import migrate_database, open_database
from bot.error_reports import ErrorReports
from bot.incidents.words import shorten
from bot.organization.apply import NotApplicable
from bot.organization.file import BadFile
from bot.settings import LogLevel, Mode, Role, Settings, SettingsError
from bot.trace_export import TraceExport
from storage.clock import Clock
from storage.errors import Contended, DatabaseAway, DatabaseUnfit, EmbeddedPostgresError, ReadOnlyServer

_PROGRAM = "run_bot.py"
# Of the request URLs of a manifest, a slash command's may be the shortest: 3,000 characters with the path behind it.
_LONGEST_ADDRESS = 2900
_READ_ONLY = (
    "DATABASE_URL: this server is read-only (a standby, or default_transaction_read_only is on there);"
    " name the primary."
)
# SQLSTATE: broken connections, refused ones, no such database, and a server that is stopping or starting.
_CODES_OF_CONNECTIONS = ("08", "28", "3D", "57P")
_DEMO_HINT = "To try the bot without Slack: python3 run_bot.py demo"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; gives the exit code. `argv` is without the program's name, sys.argv's when not given."""
    try:
        result = _app()(args=list(sys.argv[1:] if argv is None else argv), prog_name=_PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        return _fail(EXIT_USAGE, _usage_sentence(error))
    except typer.Abort:
        return _fail(EXIT_OUTSIDE, "Stopped.")
    except (SettingsError, BadFile, NotApplicable, BadUsage) as error:
        return _fail(EXIT_USAGE, str(error))
    except ReadOnlyServer:
        return _fail(EXIT_USAGE, _READ_ONLY)
    except DatabaseUnfit as error:
        return _fail(EXIT_USAGE, f"DATABASE_URL: {error}")
    except DatabaseAway as error:
        return _fail(EXIT_OUTSIDE, _database_sentence(error.__cause__ or error))
    except exc.OperationalError as error:
        return _fail(EXIT_OUTSIDE, _database_sentence(error))
    except EmbeddedPostgresError as error:
        return _fail(EXIT_OUTSIDE, str(error))
    except Contended:
        return _fail(EXIT_OUTSIDE, "Another command is changing the same things; nothing was done, try again.")
    return result if isinstance(result, int) else 0


def _fail(code: int, sentence: str) -> int:
    typer.echo(log.redact(sentence), err=True)
    return code


def _usage_sentence(error: typer.TyperException) -> str:
    sentence = " ".join(error.format_message().replace("Value error, ", "").split())
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else _PROGRAM
    return f"{sentence} (python3 {path} --help shows {'the commands' if path == _PROGRAM else 'how'})"


def _database_sentence(cause: BaseException | None) -> str:
    original = getattr(cause, "orig", None)
    reason = str(original or cause or "").strip()
    last = reason.splitlines()[0] if reason else "no answer"
    # An error of a statement has a code; where it is none of connections, the database was reached all right.
    code = getattr(original, "pgcode", None) or ""
    if code and not code.startswith(_CODES_OF_CONNECTIONS):
        return f"The database could not carry this out, and nothing was changed: {last}"
    return f"DATABASE_URL: the database cannot be used: {last}"


def _app() -> typer.Typer:
    # Frames and colours are for a terminal; in a log, plain text reads better.
    app = typer.Typer(
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Tocsin, an incident bot for Slack. Without a command: serve.",
    )
    app.callback(invoke_without_command=True)(_default)
    app.command()(serve)
    app.command()(demo)
    app.command("migrate")(migrate_)
    app.command("apply")(apply_)
    app.command()(after_restore)
    app.command()(reencrypt)
    app.command()(doctor)
    app.command("manifest")(manifest_)
    app.command("audit")(audit_)
    app.command()(export)
    app.command("import")(import_)
    token = typer.Typer(help="The tokens with which other systems post alerts.")
    token.command("create")(token_create)
    token.command("list")(token_list)
    token.command("revoke")(token_revoke)
    app.add_typer(token, name="token")
    app.command("send-test")(send_test_)
    if (
        Path(__file__).parents[1].joinpath(_PROGRAM).is_file()
    ):  # not where the package is installed: that has neither tests nor checks
        others = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
        app.command(context_settings=others)(test)
        app.command(context_settings=others)(check)
    return app


# --- running -----------------------------------------------------------------------------------------------


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"Tocsin {__version__}")
        raise typer.Exit


def _default(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> int:
    return serve() if context.invoked_subcommand is None else 0


def serve(
    role: Annotated[
        Role, typer.Option(help="web answers Slack and takes alerts, worker sends what is due, all does both.")
    ] = Role.ALL,
    while_stdin_open: Annotated[
        bool, typer.Option("--while-stdin-open", hidden=True, help="Stop when whoever started this is gone.")
    ] = False,
) -> int:
    """Runs the bot.

    It migrates the database, connects to Slack, takes alerts over HTTP, and sends what is due. Any number of processes
    may run on one database.
    """
    clock = Clock()
    if while_stdin_open:
        threading.Thread(target=_obey_stdin, args=[clock], name="stdin", daemon=True).start()
    settings = load_settings()
    if missing := settings.find_missing(role):
        raise SettingsError(f"Not set: {' and '.join(missing)}. {_DEMO_HINT}")
    reports = ErrorReports(settings)
    traces = TraceExport(settings, role.value)
    from bot.app import serve as run  # the rest of the program is loaded once it is needed

    try:
        return run(settings, role, clock)
    finally:
        traces.stop()
        reports.stop()


def _obey_stdin(clock: Clock) -> None:
    """Stops with whoever started this. The demo, which does, writes by how many seconds the clock is to be ahead."""
    # Not by sys.stdin, whose lock a thread that waits would hold when the interpreter ends.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        for line in stdin:
            clock.offset = timedelta(seconds=float(line))
    os.kill(os.getpid(), signal.SIGTERM)


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
    from bot.demo import run

    return run(settings, port, reset=reset)


def migrate_() -> int:
    """Brings the database to the current schema."""
    settings = load_settings()
    with open_database(settings) as url:
        before, after, _ = migrate_database(settings, url)
    if before == after:
        typer.echo(f"Nothing to do: the schema is at {after}.")
    else:
        typer.echo(f"The schema went from {before or 'nothing'} to {after}.")
    return 0


def doctor() -> int:
    """Checks the whole setup.

    It checks settings, database, schema, Slack tokens, scopes and channels, and says how to fix each problem.
    """
    from bot.doctor import bad_settings, examine
    from bot.doctor.finding import Finding

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


def manifest_(
    http: Annotated[
        str | None,
        typer.Option("--http", help="For HTTP mode: where Slack reaches this bot. There, PUBLIC_URL if not given."),
    ] = None,
) -> int:
    """Prints the Slack app manifest.

    At api.slack.com/apps choose Create New App, From a manifest, and paste it.
    """
    settings = load_settings()
    if http is not None:
        _check_public(http, "--http")
    elif settings.public_url and settings.mode is Mode.HTTP:
        http = settings.public_url
        _check_public(http, "PUBLIC_URL")
    from bot.slack.manifest import manifest

    typer.echo(json.dumps(manifest(settings.slack_command, http), indent=2))
    return 0


def test(context: typer.Context) -> int:
    """Runs the tests; arguments go to pytest."""
    return _explain_checkout(context)


def check(context: typer.Context) -> int:
    """Runs the checks of CI beside the tests, or the named ones."""
    return _explain_checkout(context)


def _explain_checkout(context: typer.Context) -> int:
    """run_bot.py carries these two out before it comes here, in environments of their own (bot/environment.py)."""
    return _fail(EXIT_USAGE, f"Use: python3 {_PROGRAM} {context.info_name}")


def _check_public(address: str, source: str) -> None:
    """Refuses an address that Slack could not send requests to. `source` is who gave it. Raises BadUsage."""
    try:
        parts = urlsplit(address)
        sound = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"[\s?#@]", address) or len(address) > _LONGEST_ADDRESS:
        raise BadUsage(f"{source}: {shorten(address)!r} should be an address like https://tocsin.example.com")


if __name__ == "__main__":
    sys.exit(main())
