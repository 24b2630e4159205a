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
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from sqlalchemy import exc

from bot import log
from bot.database import migrate_database, open_database, open_store
from bot.incidents.words import shorten
from bot.intake import send_test
from bot.intake.tokens import SECRET_MAX_LENGTH, SecretBox, Source, new_token, token_hash
from bot.organization.apply import NotApplicable, apply
from bot.organization.difference import ChangeKind, Plan
from bot.organization.file import BadFile, load
from bot.settings import LogLevel, Mode, Settings, SettingsError
from storage.clock import Clock
from storage.errors import Contended, DatabaseAway, DatabaseUnfit, EmbeddedPostgresError, ReadOnlyServer
from storage.queries import tokens as stored_tokens

EXIT_OUTSIDE = 1
EXIT_USAGE = 2

# Of the request URLs of a manifest, a slash command's may be the shortest: 3,000 characters with the path behind it.
_LONGEST_ADDRESS = 2900
_READ_ONLY = (
    "DATABASE_URL: this server is read-only (a standby, or default_transaction_read_only is on there);"
    " name the primary."
)
# SQLSTATE: broken connections, refused ones, no such database, and a server that is stopping or starting.
_CODES_OF_CONNECTIONS = ("08", "28", "3D", "57P")
_DEMO_HINT = "To try the bot without Slack: python run_bot.py demo"


class BadUsage(ValueError):
    """A command was given something that does not fit; the text names it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; gives the exit code. `argv` is without the program's name, sys.argv's when not given."""
    try:
        result = _app()(
            args=list(sys.argv[1:] if argv is None else argv), prog_name="run_bot.py", standalone_mode=False
        )
    except typer.TyperException as error:
        sentence = " ".join(error.format_message().replace("Value error, ", "").split())
        return _fail(EXIT_USAGE, f"{sentence} (python run_bot.py --help shows the commands)")
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


def _database_sentence(cause: BaseException | None) -> str:
    original = getattr(cause, "orig", None)
    reason = str(original or cause or "").strip()
    last = reason.splitlines()[0] if reason else "no answer"
    # An error of a statement has a code; where it is none of connections, the database was reached all right.
    code = getattr(original, "pgcode", None) or ""
    if code and not code.startswith(_CODES_OF_CONNECTIONS):
        return f"The database could not carry this out, and nothing was changed: {last}"
    return f"DATABASE_URL: the database cannot be used: {last}"


def _settings() -> Settings:
    settings = Settings.load()
    log.configure_from(settings)
    return settings


def _app() -> typer.Typer:
    # Frames and colours are for a terminal; in a log, plain text reads better.
    app = typer.Typer(
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Tocsin, an incident bot for Slack. Without a command: serve.",
    )
    app.callback(invoke_without_command=True)(_default)
    app.command()(serve)
    app.command()(demo)
    app.command("migrate")(migrate_)
    app.command("apply")(apply_)
    app.command()(doctor)
    app.command("manifest")(manifest_)
    token = typer.Typer(help="The tokens with which other systems post alerts.")
    token.command("create")(token_create)
    token.command("list")(token_list)
    token.command("revoke")(token_revoke)
    app.add_typer(token, name="token")
    app.command("send-test")(send_test_)
    return app


# --- running -----------------------------------------------------------------------------------------------


def _default(context: typer.Context) -> int:
    return serve() if context.invoked_subcommand is None else 0


def serve(
    while_stdin_open: Annotated[
        bool, typer.Option("--while-stdin-open", hidden=True, help="Stop when whoever started this is gone.")
    ] = False,
) -> int:
    """Runs the bot: migrates the database, connects to Slack, takes alerts over HTTP."""
    clock = Clock()
    if while_stdin_open:
        threading.Thread(target=_obey_stdin, args=[clock], name="stdin", daemon=True).start()
    settings = _settings()
    if settings.mode is Mode.NONE:
        raise SettingsError(f"Not set: {' and '.join(settings.missing)}. {_DEMO_HINT}")
    from bot.app import serve as run  # the rest of the program is loaded once it is needed

    return run(settings, clock)


def _obey_stdin(clock: Clock) -> None:
    """Stops with whoever started this. The demo, which does, writes by how many seconds the clock is to be ahead."""
    # Not by sys.stdin, whose lock a thread that waits would hold when the interpreter ends.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        for line in stdin:
            clock.offset = timedelta(seconds=float(line))
    os.kill(os.getpid(), signal.SIGTERM)


def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the page is served, or the next free port; 0: any.")
    ] = 8484,
    reset: Annotated[bool, typer.Option("--reset", help="Begin anew: forget what was done in the demo.")] = False,
) -> int:
    """Tries the bot out with no Slack and no server: a local workspace, a seeded organization, alerts."""
    settings = _settings()
    from bot.demo import run

    return run(settings, port, reset=reset)


def migrate_() -> int:
    """Brings the database to the current schema."""
    settings = _settings()
    with open_database(settings) as url:
        before, after = migrate_database(settings, url)
    if before == after:
        typer.echo(f"Nothing to do: the schema is at {after}.")
    else:
        typer.echo(f"The schema went from {before or 'nothing'} to {after}.")
    return 0


def doctor() -> int:
    """Looks at settings, database, Slack tokens, scopes and channels, and says how to mend what is wrong."""
    from bot.doctor import bad_settings, examine
    from bot.doctor.finding import Finding

    def told(finding: Finding, secrets: Sequence[str] = ()) -> None:
        typer.echo(log.redact(finding.line(), secrets))

    try:
        settings = Settings.load()
    except SettingsError as error:
        for line in error.sentence.splitlines():
            told(bad_settings(line))
        return EXIT_OUTSIDE
    # What the libraries would log about a fault is in its line.
    log.configure(LogLevel.CRITICAL, settings.log_format, secrets=settings.secrets)
    sound = examine(settings, lambda finding: told(finding, settings.secrets))
    return 0 if sound else EXIT_OUTSIDE


def manifest_(
    http: Annotated[
        str | None, typer.Option("--http", help="For HTTP mode: the address at which Slack reaches this bot.")
    ] = None,
) -> int:
    """Prints the app manifest that fits this program: paste it where Slack creates an app from a manifest."""
    settings = _settings()
    if http is not None:
        _check_public(http)
    from bot.slack.manifest import manifest

    typer.echo(json.dumps(manifest(settings.slack_command, http), indent=2))
    return 0


def _check_public(address: str) -> None:
    """Refuses an address that Slack could not send requests to. Raises BadUsage."""
    try:
        parts = urlsplit(address)
        sound = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"[\s?#@]", address) or len(address) > _LONGEST_ADDRESS:
        raise BadUsage(f"--http: {shorten(address)!r} should be an address like https://tocsin.example.com")


# --- the organization file ---------------------------------------------------------------------------------


def apply_(
    file: Annotated[Path, typer.Argument(help="The organization file, YAML.", show_default=False)],
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the file no longer names.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")] = False,
) -> int:
    """Makes the database's organization match a file, and prints what differs."""
    settings = _settings()
    organization = load(file)
    with open_store(settings) as store:
        result = apply(store, organization, store.clock.now(), prune=prune, dry_run=dry_run)
    _print_difference(result, organization.organization.slug, dry_run=dry_run)
    return 0


def _print_difference(result: Plan, slug: str, *, dry_run: bool) -> None:
    for kind in (ChangeKind.ADDED, ChangeKind.CHANGED, ChangeKind.REMOVED, ChangeKind.KEPT):
        for change in result.changes_of(kind):
            typer.echo(change.format())
    if result.changes_of(ChangeKind.KEPT):
        typer.echo("What is kept is not in the file; --prune removes it.")
    counts = ", ".join(
        f"{len(result.changes_of(k))} {k}" for k in (ChangeKind.ADDED, ChangeKind.CHANGED, ChangeKind.REMOVED)
    )
    if result.empty:
        typer.echo(f"Nothing to do: {slug} is as the file says.")
    else:
        typer.echo(f"{slug}: {counts}. {'Nothing was written: --dry-run.' if dry_run else ''}".rstrip())


# --- tokens ------------------------------------------------------------------------------------------------


def token_create(
    organization: Annotated[str, typer.Option(help="The organization's slug.", show_default=False)],
    source: Annotated[Source, typer.Option(help="What will post with it.", show_default=False)],
    project: Annotated[
        str | None, typer.Option(help="The project's slug. Without it, each alert names its project.")
    ] = None,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="For sentry: read the client secret from stdin.")
    ] = False,
) -> int:
    """Makes a token and prints it, once, on the last line. For sentry: prints the path to give to Sentry."""
    settings = _settings()
    secret_box = _secret_box(settings) if source is Source.SENTRY else None
    if secret_box and not secret_stdin:
        raise BadUsage("--secret-stdin: a sentry token needs the client secret of the integration on stdin")
    if secret_stdin and not secret_box:
        raise BadUsage(f"--secret-stdin: only a sentry token has a secret of its own, not {source}")
    sealed = secret_box.seal(_secret_from_stdin()) if secret_box else None
    token = None if sealed else new_token()
    with open_store(settings) as store, store.write() as tx:
        organizations = stored_tokens.get_organization_slugs(tx)
        organization_id = _among(organizations, organization, "--organization", "organization")
        project_id = None
        if project is not None:
            project_id = _among(stored_tokens.get_project_slugs(tx, organization_id), project, "--project", "project")
        token_id = stored_tokens.insert_token(
            tx,
            organization_id=organization_id,
            project_id=project_id,
            source=source.value,
            token_hash=token_hash(token) if token else None,
            secret_encrypted=sealed,
            now=store.clock.now(),
        )
    if token is None:
        typer.echo(f"Token {token_id}. Give Sentry this path, after the address of this bot:", err=True)
        typer.echo(f"/intake/sentry/{token_id}")
    else:
        typer.echo(f"Token {token_id}. It is not shown again:", err=True)
        typer.echo(token)
    return 0


def _secret_box(settings: Settings) -> SecretBox:
    if settings.secret_key is None:
        raise BadUsage(
            "TOCSIN_SECRET_KEY is not set: it encrypts the secret of a sentry token, and `serve` needs the same"
        )
    return SecretBox(settings.secret_key.get_secret_value())


def _secret_from_stdin(option: str = "--secret-stdin", what: str = "the client secret") -> str:
    try:
        secret = sys.stdin.read(SECRET_MAX_LENGTH + 1).strip()
    except UnicodeDecodeError:
        secret = ""
    if len(secret) > SECRET_MAX_LENGTH or not re.fullmatch(r"[!-~]+", secret):
        raise BadUsage(f"{option}: stdin should hold {what} and nothing else")
    return secret


def _among(known: dict[str, int], wanted: str, option: str, what: str) -> int:
    if wanted in known:
        return known[wanted]
    there = f"there are: {', '.join(sorted(known))}" if known else "there is none yet; `apply` adds it"
    raise BadUsage(f"{option}: there is no {what} {wanted}; {there}")


def token_list() -> int:
    """Lists every token: for whom, when it was made, last used, revoked. Never the token itself."""
    with open_store(_settings()) as store, store.read() as connection:
        lines = stored_tokens.list_tokens(connection)
    rows = [("ID", "ORGANIZATION", "PROJECT", "SOURCE", "CREATED", "LAST USED", "REVOKED")]
    rows += [
        (
            str(line.id),
            line.organization,
            line.project or "-",
            line.source,
            _date(line.date_added),
            _date(line.last_used),
            _date(line.date_revoked),
        )
        for line in lines
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _date(when: datetime | None) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if when else "-"


def token_revoke(
    token_id: Annotated[int, typer.Argument(metavar="ID", help="As `token list` shows it.", show_default=False)],
) -> int:
    """Ends a token: what posts with it is refused from now on."""
    with open_store(_settings()) as store, store.write() as tx:
        now = store.clock.now()
        revoked = stored_tokens.revoke_token(tx, token_id, now) if 0 < token_id < 2**63 else None
    if revoked is None:
        raise BadUsage(f"ID: there is no token {token_id}; `token list` shows them")
    typer.echo(f"Token {token_id} is revoked{'' if revoked == now else f' since {_date(revoked)}'}.", err=True)
    return 0


# --- trying it out -----------------------------------------------------------------------------------------


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
    """Posts a realistic alert of a source to the running bot, and says which incident it became."""
    settings = _settings()
    base = (url or _own_address(settings)).rstrip("/")
    if not re.match(r"https?://[^/]", base):
        raise BadUsage(f"--url: {base} should be an http or https URL, like http://127.0.0.1:3000")
    # By this machine's clock: it plays a system outside, which has no other.
    body = send_test.build_payload(source, datetime.now(UTC), resolved=resolved, project=project)
    if token_stdin and source is Source.SENTRY:
        raise BadUsage("--token-stdin: for sentry, stdin holds the client secret; its path is no secret")
    if token_stdin:
        token = _secret_from_stdin("--token-stdin", "the token")
    if token is None:
        raise BadUsage("--token-stdin: the token is needed, on stdin or in TOCSIN_TOKEN")
    if source is Source.SENTRY:
        token_id = re.fullmatch(r"(?:/?intake/sentry/)?([0-9]+)", token)
        if token_id is None:
            raise BadUsage("--token: for sentry, this is the path that `token create` printed, /intake/sentry/ID")
        if not secret_stdin:
            raise BadUsage("--secret-stdin: Sentry's alerts are signed; the client secret is needed on stdin")
        answer = send_test.send(f"{base}/intake/sentry/{token_id[1]}", body, secret=_secret_from_stdin())
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


if __name__ == "__main__":
    sys.exit(main())
