"""`retention`, `erase` and `hold`: what is removed after a time, who is erased, and what must not be."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.administration.erasing import NotErasable, check_erasable, find_person
from bot.administration.erasing import erase as erase_person
from bot.administration.retention import find_limits, remove_old
from bot.cells.opening import open_stores
from bot.commands.progress import show_progress
from bot.commands.targets import get_operator, list_reached, open_organization
from bot.commands.usage import BadUsage, load_settings, parse_number
from storage.audit_rows import AuditAction, AuditChange
from storage.queries import audit
from storage.queries import retention as stored
from storage.queries.exporting import count_incidents

_MAX_REASON = 500
OrganizationOption = Annotated[
    str | None, typer.Option(metavar="SLUG", help="Which organization; needed where there are several.")
]
IncidentOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="The number of one incident; without it, everything.", parser=parse_number(1)),
]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit log.")]


def retention(
    organization: OrganizationOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> int:
    """Removes what is kept no longer, as `serve` does by itself.

    How long something is kept is `retention` in the organization file. What is open, on legal hold or still needed
    stays.
    """
    with open_organization(load_settings(), organization) as (store, slug, organization_id):
        now = store.clock.now()
        with store.read() as connection:
            row = stored.get_retention(connection, organization_id)
            limits = find_limits(row, now)
            old = held = needed = entries = 0
            if limits.closed_incidents is not None:
                old, held, needed = stored.count_old_incidents(connection, organization_id, limits.closed_incidents)
            if limits.audit is not None:
                entries = stored.count_old_audit_entries(connection, organization_id, limits.audit)
        if row.legal_hold:
            typer.echo(f"{slug} is on legal hold, so nothing is removed.")
            return 0
        if limits.closed_incidents is None and limits.audit is None:
            typer.echo(f"{slug} keeps everything: the organization file has no retention.")
            return 0
        verb = "would be removed" if dry_run else "removed"
        if not dry_run:
            with show_progress("Removing", old + entries) as tick:
                removed = remove_old(store, organization_id, now, get_operator(), tick=tick)
            old, entries = removed.incidents, removed.entries
    incidents = f"{old:,} closed incident{'' if old == 1 else 's'}"
    typer.echo(f"{slug}: {incidents} and {entries:,} audit entr{'y' if entries == 1 else 'ies'} {verb}.")
    if held or needed:
        typer.echo(f"Kept although old: {held:,} on legal hold, {needed:,} still needed.")
    return 0


def erase(
    person: Annotated[
        str, typer.Argument(metavar="PERSON", help="E-mail address, Slack id or name.", show_default=False)
    ],
    organization: OrganizationOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say who would be erased.")] = False,
) -> int:
    """Erases a former member.

    Name, e-mail address and Slack ids go for good. What they did stays as that of "a former member".
    """
    typed = person.removeprefix("@").strip()
    with open_organization(load_settings(), organization) as (store, slug, organization_id):
        try:
            with store.read() as connection:
                found = find_person(connection, organization_id, typed)
                check_erasable(connection, organization_id, found)
                total = count_incidents(connection, organization_id)
            if dry_run:
                named = f"{found.name} ({found.email})" if found.id else found.name
                typer.echo(f"{named} would be erased from {slug}.")
                return 0
            with show_progress("Erasing", total) as tick:
                erase_person(store, organization_id, found, store.clock.now(), get_operator(), tick)
        except NotErasable as error:
            raise BadUsage(f"PERSON: {error}.") from None
    typer.echo(f"The person is erased from {slug}. Backups and Slack still have what they had.")
    return 0


def hold_begin(
    organization: OrganizationOption = None, incident: IncidentOption = None, reason: ReasonOption = ""
) -> int:
    """Begins a legal hold.

    Retention removes nothing of it, and nobody in it is erased, until the hold ends.
    """
    return _hold(organization, incident, reason, held=True)


def hold_end(
    organization: OrganizationOption = None, incident: IncidentOption = None, reason: ReasonOption = ""
) -> int:
    """Ends a legal hold."""
    return _hold(organization, incident, reason, held=False)


def _hold(organization: str | None, incident: int | None, reason: str, *, held: bool) -> int:
    if len(reason) > _MAX_REASON or not reason.isprintable():
        raise BadUsage(f"--reason: at most {_MAX_REASON} characters, on one line.")
    with open_organization(load_settings(), organization) as (store, slug, organization_id):
        now = store.clock.now()
        what = slug
        with store.write(organization_id) as tx:
            if incident is None:
                changed = stored.hold_organization(tx, organization_id, held=held)
            else:
                number = min(incident, 2**63 - 1)
                found = stored.hold_incident(tx, organization_id, number, held=held)
                if found is None:
                    raise BadUsage(f"--incident: {slug} has no incident {incident}.")
                title, changed = found
                what = f"#{incident} {title}"
            if changed:
                action = AuditAction.HOLD_BEGIN if held else AuditAction.HOLD_END
                after = {"reason": reason} if reason else None
                audit.record(tx, organization_id, get_operator(), [AuditChange(action, what, after=after)], now)
    if not changed:
        typer.echo(f"{what} is {'already' if held else 'not'} on legal hold.")
    elif held:
        typer.echo(f"{what} is on legal hold now. Nothing of it is removed or erased.")
    else:
        typer.echo(f"The legal hold of {what} has ended.")
    return 0


def hold_list() -> int:
    """Lists what is on legal hold."""
    holds = []
    with open_stores(load_settings()) as stores:
        for store in list_reached(stores):
            with store.read() as connection:
                holds += stored.list_holds(connection)
    for slug, identifier, title in holds:
        typer.echo(slug if identifier is None else f"{slug}  #{identifier} {title}")
    if not holds:
        typer.echo("Nothing is on legal hold.", err=True)
    return 0
