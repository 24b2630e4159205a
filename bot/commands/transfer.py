"""`export` and `import`: an organization as a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer
from pydantic import ValidationError

from bot.cells.opening import open_stores
from bot.commands.progress import show_progress
from bot.commands.targets import choose_organization, find_store, get_operator, open_organization, parse_since
from bot.commands.usage import EXIT_USAGE, BadUsage, load_settings
from bot.transfer import exporting, sentry
from bot.transfer.errors import BadImport
from bot.transfer.importing import Importer, Line
from bot.transfer.records import RECORD, Header
from storage.audit_rows import AuditAction, AuditChange
from storage.engine import Store
from storage.queries import audit
from storage.queries import exporting as stored
from storage.queries.importing import get_members

_PLURALS = {"organization": "organizations", "team": "teams", "project": "projects", "member": "members",
            "digest": "digests", "personal digest": "personal digests", "followed filter": "followed filters",
            "silence": "silences", "incident": "incidents", "audit entry": "audit entries"}  # fmt: skip


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


def export(
    file: Annotated[Path, typer.Argument(help="The file to write; - for the standard output.", show_default=False)],
    organization: Annotated[
        str | None, typer.Option(metavar="SLUG", help="Which organization; needed where there are several.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Leave out incidents that were resolved before: 2026-11-01, 30d.")
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="jsonl: everything, for import. csv: a table of the incidents.")
    ] = Format.JSONL,
) -> int:
    """Writes everything of an organization to a file."""
    settings = load_settings()
    with open_organization(settings, organization) as (store, slug, organization_id):
        begin = parse_since(since, store.clock.now())
        with store.write() as tx:
            after = {"format": form.value, "since": begin and begin.isoformat()}
            change = AuditChange(AuditAction.DATA_EXPORT, after=after)
            audit.record(tx, organization_id, get_operator(), [change], store.clock.now())
        with store.read() as connection:
            total = stored.count_incidents(connection, organization_id)
        with show_progress("Exporting", total) as tick, _written(file) as out:
            lines = (
                exporting.write_jsonl(store, organization_id, slug, begin, tick)
                if form is Format.JSONL
                else exporting.write_csv(store, organization_id, begin, tick)
            )
            for line in lines:
                out.write(line)
    if str(file) != "-":
        typer.echo(f"{slug} is in {file}.")
    return 0


def import_(
    file: Annotated[Path, typer.Argument(help="The file to read.", show_default=False)],
    organization: Annotated[
        str | None,
        typer.Option(metavar="SLUG", help="For Sentry's incidents: into which organization, where there are several."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the file, and say what is new in it.")] = False,
) -> int:
    """Imports an export, or Sentry's incidents.

    What is there stays as it is, so nothing is made twice, and an import that was interrupted goes on when it is run
    again. Nobody is notified of what is imported.
    """
    settings = load_settings()
    try:
        with file.open(encoding="utf-8-sig") as source, open_stores(settings) as stores:
            first = source.read(1)
            source.seek(0)
            if first == "[":
                store, slug, organization_id = choose_organization(stores, organization)
                lines, total = _read_sentry(store, source, organization_id)
            else:
                slug = _read_header(source.readline())
                if organization not in (None, slug):
                    raise BadImport(f"line 1: the file is of the organization {slug}, not {organization}")
                store = find_store(stores, slug)
                start = source.tell()
                total = sum(1 for _ in iter(source.readline, ""))
                source.seek(start)
                lines = _read_lines(source)
            others = [one for one in stores.values() if one is not None and one is not store]
            importer = Importer(store, get_operator(), dry_run=dry_run, other_cells=others)
            with show_progress("Importing", total) as tick:
                importer.run(slug, lines, tick)
    except (OSError, UnicodeDecodeError, BadImport) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        typer.echo(f"{file}: {reason or error}", err=True)
        return EXIT_USAGE
    _print_counts(slug, importer, dry_run=dry_run)
    return 0


@contextmanager
def _written(file: Path) -> Iterator[IO[str]]:
    """A file that appears under its name once it is whole. Only its owner can read it: it holds what people wrote."""
    if str(file) == "-":
        yield typer.get_text_stream("stdout", encoding="utf-8")
        return
    part = file.with_name(file.name + ".part")
    try:
        with open(
            part, "w", encoding="utf-8", newline="", opener=lambda path, flags: os.open(path, flags, 0o600)
        ) as out:
            yield out
        part.replace(file)
    except OSError as error:
        raise BadUsage(f"{file}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _read_header(line: str) -> str:
    try:
        return Header.model_validate_json(line).organization
    except ValidationError:
        raise BadImport(
            "line 1: this is neither an export of Tocsin (version 1) nor a list of Sentry's incidents"
        ) from None


def _read_lines(source: IO[str]) -> Iterator[Line]:
    for number, text in enumerate(source, 2):
        if text.strip():
            try:
                yield Line(number, RECORD.validate_json(text))
            except ValidationError as error:
                raise BadImport(f"line {number}: {_explain(error)}") from None


def _read_sentry(store: Store, source: IO[str], organization_id: int) -> tuple[Iterator[Line], int]:
    """The incidents as lines, and how many there are."""
    try:
        found = sentry.SENTRY.validate_python(json.load(source))
    except (ValueError, RecursionError) as error:
        reason = _explain(error) if isinstance(error, ValidationError) else str(error)
        raise BadImport(f"no list of Sentry's incidents: {reason}") from None
    with store.read() as connection:
        members = get_members(connection, organization_id)
    return sentry.convert(found, members), len(found)


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def _print_counts(slug: str, importer: Importer, *, dry_run: bool) -> None:
    added = [_number(kind, count) for kind, count in importer.added.items() if count]
    present = [_number(kind, count) for kind, count in importer.present.items() if count]
    verb = "would be added" if dry_run else "added"
    typer.echo(f"{slug}: {', '.join(added) or 'nothing'} {verb}.")
    if present:
        typer.echo(f"Already there, and left as they are: {', '.join(present)}.")
    for sentence in importer.left_out:
        typer.echo(sentence)
    for old, new in importer.renumbered:
        typer.echo(f"#{old} is #{new} here, because #{old} is another incident.")


def _number(kind: str, count: int) -> str:
    return f"{count:,} {kind if count == 1 else _PLURALS[kind]}"
