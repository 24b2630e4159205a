"""`export`: an organization as a file, complete as JSON Lines or its incidents as a table.

`storage.queries.tables` lists what is not in it: secrets, what is under way, and what Slack was sent.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.messages.incident_parts import SEVERITY_NAMES
from bot.transfer import mentions
from bot.transfer.records import VERSION
from storage.engine import Store
from storage.queries import exporting
from storage.values import ActivityType, Status

Progress = Callable[[int], None]  # is told how many incidents were read since the last call

_COLUMNS = (
    *("identifier", "title", "status", "severity", "projects", "team", "environment", "owner", "source", "url"),
    *("started", "detected", "closed", "seen_by", "comments"),
)


def write_jsonl(store: Store, organization_id: int, slug: str, since: datetime | None, tick: Progress) -> Iterator[str]:
    """Yields the lines of the file: a header, then one thing in each line. Raises DatabaseAway, Contended."""
    now = store.clock.now()
    yield _line({"type": "tocsin-export", "version": VERSION, "organization": slug, "exported": now.isoformat()})
    with store.read() as connection:
        setup = list(exporting.read_setup(connection, organization_id))
        silences = exporting.read_silences(connection, organization_id)
        people, teams = exporting.get_names(connection, organization_id)
    yield from map(_line, setup)
    numbers = {id_: number for number, (id_, _) in enumerate(silences, 1)}  # the ids are of this database
    for id_, silence in silences:
        yield _line({**silence, "number": numbers[id_]})

    def find_name(kind: str, id_: int) -> str | None:
        return people.get(id_) if kind == "person" else teams.get(id_)

    for incident in _read(store, exporting.read_incidents, organization_id, since, tick):
        for entry in incident["activity"]:
            if entry["comment"]:
                entry["comment"] = mentions.name_mentions(entry["comment"], find_name)
            entry["rich_text"] = mentions.name_rich_text(entry["rich_text"], find_name)
        incident["silence"] = numbers.get(incident["silence"])
        incident["silences"] = sorted(numbers[id_] for id_ in incident["silences"] if id_ in numbers)
        yield _line(incident)
    for entry in _read(store, exporting.read_audit_entries, organization_id, since):
        for values in (entry["before"], entry["after"]):
            if values and "owner_id" in values:  # the owner of a digest, by an id of this database
                values["owner"] = people.get(values.pop("owner_id"))
        yield _line(entry)


def write_csv(store: Store, organization_id: int, since: datetime | None, tick: Progress) -> Iterator[str]:
    """Yields the rows of a table of the incidents, with a heading. Raises DatabaseAway, Contended."""
    yield _row(dict(zip(_COLUMNS, _COLUMNS, strict=True)))
    for incident in _read(store, exporting.read_incidents, organization_id, since, tick):
        status = Status(incident["status"])
        severity = Status(incident["status_before_closing"] or status) if status is Status.CLOSED else status
        yield _row(
            {
                **{name: incident[name] for name in ("identifier", "title", "team", "environment", "owner")},
                **{name: incident[name] for name in ("source", "url")},
                "status": "resolved" if status is Status.CLOSED else "open",
                "severity": SEVERITY_NAMES.get(severity, "None"),
                "projects": " ".join(incident["projects"]),
                "started": incident["date_started"],
                "detected": incident["date_detected"],
                "closed": incident["date_closed"],
                "seen_by": len(incident["seen"]),
                "comments": sum(one["type"] == ActivityType.COMMENT for one in incident["activity"]),
            }
        )


_Read = Callable[[Connection, int, int, datetime | None], list[tuple[int, dict[str, Any]]]]


def _read(
    store: Store, read: _Read, organization_id: int, since: datetime | None, tick: Progress = lambda _: None
) -> Iterator[dict[str, Any]]:
    """Yields what `read` returns, batch after batch, without holding a connection in between."""
    after = 0
    while True:
        with store.read() as connection:
            found = read(connection, organization_id, after, since)
        yield from (record for _, record in found)
        tick(len(found))
        if len(found) < exporting.AT_ONCE:
            return
        after = found[-1][0]


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def _row(values: Mapping[str, Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_cell(values[name]) for name in _COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> Any:
    # A program for tables would take it for a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
