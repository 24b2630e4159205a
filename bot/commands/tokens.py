"""`token create`, `token list` and `token revoke`: the tokens with which other systems post alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from bot.cells.opening import open_stores
from bot.commands.targets import get_operator, list_reached, open_organization
from bot.commands.usage import BadUsage, load_settings, parse_number, read_secret_from_stdin
from bot.intake.revoking import revoke
from bot.intake.tokens import Source, new_token, token_hash
from bot.secret_box import SecretBox
from bot.settings import Settings
from storage.audit_rows import AuditAction, AuditChange
from storage.engine import Store
from storage.queries import audit
from storage.queries import tokens as stored_tokens


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
    """Creates a token and prints it.

    It is printed once, on the last line. For sentry, the last line is the path to give to Sentry.
    """
    settings = load_settings()
    secret_box = _secret_box(settings) if source is Source.SENTRY else None
    if secret_box and not secret_stdin:
        raise BadUsage("--secret-stdin: a sentry token needs the client secret of the integration on stdin")
    if secret_stdin and not secret_box:
        raise BadUsage(f"--secret-stdin: only a sentry token has a secret of its own, not {source}")
    sealed = secret_box.seal(read_secret_from_stdin()) if secret_box else None
    token = None if sealed else new_token()
    with open_organization(settings, organization) as (store, _, organization_id), store.write(organization_id) as tx:
        project_id = None
        if project is not None:
            project_id = _find_project(stored_tokens.get_project_slugs(tx, organization_id), project)
        now = store.clock.now()
        token_id = stored_tokens.insert_token(
            tx,
            organization_id=organization_id,
            project_id=project_id,
            source=source.value,
            token_hash=token_hash(token) if token else None,
            secret_encrypted=sealed,
            now=now,
        )
        after = {"source": source.value, "project": project}
        change = AuditChange(AuditAction.TOKEN_CREATE, str(token_id), after=after)
        audit.record(tx, organization_id, get_operator(), [change], now)
    path = f"/intake/{source}/{token_id}" if token is None else f"/intake/{source}"
    if settings.public_url:
        typer.echo(f"Alerts go to {settings.public_url}{path}", err=True)
    if token is None:
        typer.echo(f"Token {token_id}. Give Sentry this path, after the address of this bot:", err=True)
        typer.echo(path)
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


def _find_project(known: dict[str, int], wanted: str) -> int:
    if wanted in known:
        return known[wanted]
    there = f"there are: {', '.join(sorted(known))}" if known else "there is none yet; `apply` adds it"
    raise BadUsage(f"--project: there is no project {wanted}; {there}")


def token_list() -> int:
    """Lists the tokens.

    Each with its organization, when it was created, last used and revoked, and why its last delivery was refused, if
    it was. Never the token itself.
    """
    lines = []
    with open_stores(load_settings()) as stores:
        for store in list_reached(stores):
            with store.read() as connection:
                lines += stored_tokens.list_tokens(connection)
    rows = [("ID", "ORGANIZATION", "PROJECT", "SOURCE", "CREATED", "LAST USED", "REVOKED", "LAST REFUSAL")]
    rows += [
        (
            str(line.id),
            line.organization,
            line.project or "-",
            line.source,
            _date(line.date_added),
            _date(line.last_used),
            _date(line.date_revoked),
            f"{_date(line.last_refused)}: {line.last_refusal}" if line.last_refused else "-",
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
    token_id: Annotated[
        int,
        typer.Argument(metavar="ID", help="As `token list` shows it.", parser=parse_number(1), show_default=False),
    ],
) -> int:
    """Revokes a token.

    What posts with it is refused from now on.
    """
    with open_stores(load_settings()) as stores:
        known = (revoked for store in list_reached(stores) if (revoked := _revoke(store, token_id)) is not None)
        found = next(known, None)
    if found is None:
        raise BadUsage(f"ID: there is no token {token_id}; `token list` shows them")
    since, now = found
    typer.echo(f"Token {token_id} is revoked{'' if since == now else f' since {_date(since)}'}.", err=True)
    return 0


def _revoke(store: Store, token_id: int) -> tuple[datetime, datetime] | None:
    """Revokes a token of a database. Returns since when it is revoked, and the time; None if there is no such token."""
    with store.write() as tx:
        now = store.clock.now()
        organization_id = stored_tokens.find_organization_of_token(tx, token_id) if 0 < token_id < 2**63 else None
        revoked = None if organization_id is None else revoke(tx, organization_id, token_id, get_operator(), now)
    return None if revoked is None else (revoked, now)
