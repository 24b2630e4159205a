"""`audit`: the audit log of an organization on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from bot.commands.targets import open_organization, parse_since
from bot.commands.usage import BadUsage, load_settings, parse_number
from bot.incidents.words import shorten
from bot.messages.audit import BOT, Style, describe_action, describe_values
from storage.audit_rows import AuditEntry
from storage.queries import audit

_MOST = 1_000_000


def audit_(
    organization: Annotated[
        str | None, typer.Option(metavar="SLUG", help="Which organization; needed where there are several.")
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(metavar="WHO", help="Only what this member did, or what was done to them: e-mail or name."),
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only what was done since: 2026-11-01, 7d.")] = None,
    most: Annotated[
        int, typer.Option("--limit", metavar="N", help="At most so many.", parser=parse_number(1, _MOST))
    ] = 100,
) -> int:
    """Shows who changed what, the newest first.

    Times are in UTC.
    """
    with open_organization(load_settings(), organization) as (store, _, organization_id):
        begin = parse_since(since, store.clock.now())
        with store.read() as connection:
            people, users = None, list[str]()
            if person is not None:
                typed = person.removeprefix("@").strip()
                people = audit.find_people(connection, organization_id, typed)
                users = audit.find_users(connection, organization_id, typed)
                if not (people or users):
                    raise BadUsage(f"--person: nobody here is or was called {shorten(person)!r}.")
            entries, more = audit.list_entries(
                connection, organization_id, people=people, users=users, since=begin, skip=0, most=most
            )
    for entry in entries:
        typer.echo(_format(entry))
    if not entries:
        typer.echo("No changes were found.", err=True)
    if more:
        typer.echo(f"There are more. --limit shows more than {most:,}.", err=True)
    return 0


def _format(entry: AuditEntry) -> str:
    line = f"{_format_time(entry.date_added)}  {_clean(entry.actor or BOT)} {describe_action(entry, _STYLE)}"
    details = "; ".join(f"{name}: {value}" for name, value in describe_values(entry, _STYLE))
    return f"{line}: {details}" if details else line


def _format_time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _clean(text: str) -> str:
    """The text without what would control a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


_STYLE = Style(_clean, _format_time, channel=str, usergroup=str, person=str)
