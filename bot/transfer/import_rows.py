"""The rows that an import inserts, made of the records of its file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.incidents.markup import MENTION
from bot.transfer.mentions import resolve_rich_text
from bot.transfer.records import AuditRecord, EntryRecord, FollowerRecord, IncidentRecord, SeenRecord
from storage.rows import AlertKey
from storage.values import NO_TEAM, ActivityType, Status


@dataclass(slots=True)
class Known:
    """What the organization has, by the names that a file uses. In a dry run, what is new has no id of its own: 0."""

    organization_id: int
    teams: dict[str, int] = field(default_factory=dict)
    projects: dict[str, int] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    workspaces: set[str] = field(default_factory=set)
    silences: dict[int, int] = field(default_factory=dict)  # by their numbers in the file

    def choose_workspace(self, workspace_id: str) -> str | None:
        """The workspace, or another one of the organization; None if it has none."""
        return workspace_id if workspace_id in self.workspaces else min(self.workspaces, default=None)

    def find_id(self, kind: str, name: str) -> int | None:
        """The id of somebody mentioned ("person" and an e-mail, "team" and a slug), or None."""
        return (self.members if kind == "person" else self.teams).get(name)


def build_project_rows(known: Known, incident_id: int, record: IncidentRecord) -> Iterator[Mapping[str, Any]]:
    """Rows of `incident_project` by column."""
    for slug in sorted(set(record.projects)):
        yield {
            "incident_id": incident_id,
            "project_id": known.projects[slug],
            "started": record.date_started,
            "status": int(record.status),
            "team_id": known.teams[record.team] if record.team else NO_TEAM,
            "title": record.title,
        }


def build_mention_rows(entry_id: int, text: str) -> Iterator[Mapping[str, Any]]:
    """Rows of `comment_mention` by column, for the mentions in a text."""
    for kind, id_ in sorted(set(MENTION.findall(text))):
        person = kind == "person"
        yield {
            "activity_id": entry_id,
            "member_id": int(id_) if person else None,
            "team_id": None if person else int(id_),
        }


def build_incident(known: Known, record: IncidentRecord, identifier: int, burning: set[str]) -> Mapping[str, Any]:
    """A row of `incident` by column. `burning` are the alerts that have an open incident."""
    # An alert has one open incident.
    key = None if record.status is not Status.CLOSED and record.alert_key in burning else record.alert_key
    return {
        **record.model_dump(
            include={"title", "environment", "url", "source", "details", "date_started", "date_detected", "date_added",
                     "date_closed", "owned_since", "legal_hold"}
        ),
        "identifier": identifier,
        "status": int(record.status),
        "status_method": int(record.status_method),
        "status_before_closing": record.status_before_closing and int(record.status_before_closing),
        "team_id": known.teams[record.team] if record.team else None,
        "alert_project_id": known.projects[record.alert_project] if record.alert_project and key else None,
        "alert_key": key if record.alert_project else None,
        "owner_id": known.members[record.owner] if record.owner else None,
        "silence_id": known.silences[record.silence] if record.silence else None,
    }  # fmt: skip


def build_people_rows(
    known: Known, people: Iterable[tuple[int, Sequence[SeenRecord | FollowerRecord]]]
) -> list[Mapping[str, Any]]:
    """Rows of `incident_seen` or `incident_subscription` by column, from the people of each incident."""
    return [
        {"incident_id": id_, **one.model_dump(exclude={"member"}), "member_id": known.members[one.member]}
        for id_, of_incident in people
        for one in of_incident
    ]


def build_alert_memories(
    known: Known, records: Iterable[tuple[int, IncidentRecord]], burning: set[str]
) -> list[Mapping[str, Any]]:
    """Rows of `alert_memory` by column: what was heard of the alerts of incidents, each with its id."""
    rows: list[Mapping[str, Any]] = []
    for incident_id, record in records:
        if record.alert is None or record.source is None or record.alert_project is None or record.alert_key is None:
            continue
        if record.status is not Status.CLOSED and record.alert_key in burning:
            continue
        alert = AlertKey(record.source, known.projects[record.alert_project], record.alert_key)
        rows.append(
            {
                **record.alert.model_dump(exclude={"status"}),
                "status": record.alert.status and int(record.alert.status),
                "source": alert.source,
                "project_id": alert.project_id,
                "alert_key": alert.key,
                "dedup_key": alert.own_dedup_key,
                "incident_id": incident_id,
            }
        )
    return rows


def build_audit_entry(known: Known, record: AuditRecord) -> Mapping[str, Any]:
    """An entry of the audit log by column. Who is not known here keeps no id."""
    values = record.model_dump(mode="json", exclude={"type", "member", "subject_member"})
    for name in ("before", "after"):
        if values[name] and "owner" in values[name]:  # of a digest
            values[name]["owner_id"] = known.members.get(values[name].pop("owner"))
    return {
        **values,
        "member_id": known.members.get(record.member or ""),
        "subject_member_id": known.members.get(record.subject_member or ""),
    }


def build_log_entry(known: Known, incident_id: int, entry: EntryRecord, text: str | None) -> Mapping[str, Any]:
    """A row of `incident_activity` by column."""
    try:
        rich_text = resolve_rich_text(entry.rich_text, known.find_id) if entry.type is ActivityType.COMMENT else None
    except LookupError:
        rich_text = None  # the text says the same
    return {
        "incident_id": incident_id,
        "member_id": known.members[entry.member] if entry.member else None,
        "type": int(entry.type),
        "value": entry.value,
        "previous_value": entry.previous_value,
        "comment": text,
        "rich_text": rich_text,
        "date_added": entry.date_added,
        "date_edited": entry.date_edited,
        "owner_id": known.members[entry.owner] if entry.owner else None,
        "previous_owner_id": known.members[entry.previous_owner] if entry.previous_owner else None,
        "call": entry.call.to_json() if entry.call else None,
    }
