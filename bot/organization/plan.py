"""What has to be written to make the database match an organization file, and the same as lines for a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.incidents.durations import format_duration
from bot.organization.calls import format_rules


class ChangeKind(StrEnum):
    """What happens to something."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    KEPT = "kept"  # not in the file, but not removed without `prune`


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the difference."""

    kind: ChangeKind
    what: str  # "member ada@acme.test"
    detail: str = ""  # "role: member -> owner"

    def format(self) -> str:
        """The line for a person."""
        return f"{self.kind:<8} {self.what}{': ' + self.detail if self.detail else ''}"


Values = dict[str, Any]  # column to value
Pair = tuple[str, str]


@dataclass(slots=True)
class Plan:
    """Everything that has to be written, and the same as lines for a person.

    Existing rows are named by id, new ones by slug or e-mail.
    """

    changes: list[Change] = field(default_factory=list)
    organization: Values = field(default_factory=dict)
    workspaces_added: list[str] = field(default_factory=list)
    workspaces_removed: list[str] = field(default_factory=list)
    workspaces_named: list[str] = field(default_factory=list)  # were connected in Slack
    teams_added: list[Values] = field(default_factory=list)
    teams_changed: dict[int, Values] = field(default_factory=dict)
    teams_removed: list[int] = field(default_factory=list)
    projects_added: list[Values] = field(default_factory=list)
    projects_changed: dict[int, Values] = field(default_factory=dict)
    projects_removed: dict[int, str] = field(default_factory=dict)  # id to slug
    members_added: list[Values] = field(default_factory=list)
    members_changed: dict[int, Values] = field(default_factory=dict)
    members_removed: list[int] = field(default_factory=list)
    slack_ids: dict[str, Mapping[str, str]] = field(default_factory=dict)  # e-mail to the ids by workspace
    project_teams_added: list[Pair] = field(default_factory=list)  # project, team
    project_teams_removed: list[tuple[int, int]] = field(default_factory=list)
    channels_added: list[Pair] = field(default_factory=list)  # project, channel
    channels_removed: list[tuple[int, str]] = field(default_factory=list)
    member_teams_added: list[Pair] = field(default_factory=list)  # e-mail, team
    member_teams_removed: list[tuple[int, int]] = field(default_factory=list)
    digests_added: list[Values] = field(default_factory=list)
    digests_changed: dict[int, Values] = field(default_factory=dict)
    digests_removed: list[int] = field(default_factory=list)

    def changes_of(self, kind: ChangeKind) -> list[Change]:
        """The lines of one kind."""
        return [change for change in self.changes if change.kind is kind]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return all(change.kind is ChangeKind.KEPT for change in self.changes)

    @property
    def touches_identities(self) -> bool:
        """Whether it may change which member a Slack user is."""
        return bool(
            self.workspaces_added
            or self.workspaces_removed
            or self.members_added
            or self.members_changed
            or self.members_removed
            or self.slack_ids
        )


def find_missing(wanted: Collection[str], there: Collection[str]) -> list[str]:
    """Those of `wanted` that are not there, in their order."""
    known = frozenset(there)
    return [value for value in wanted if value not in known]


def record_changes(result: Plan, what: str, before: Mapping[str, Any], wanted: Mapping[str, Any]) -> Values:
    """Adds the line about the columns that differ. Returns them with their new values."""
    values = {key: value for key, value in wanted.items() if before[key] != value}
    if values:
        detail = ", ".join(
            f"{_FIELD_NAMES.get(k, k)}: {_format_value(k, before[k])} -> {_format_value(k, v)}"
            for k, v in values.items()
        )
        result.changes.append(Change(ChangeKind.CHANGED, what, detail))
    return values


# Columns that have another name in the file.
_FIELD_NAMES = {
    "channel_id": "channel",
    "cron": "schedule",
    "remind_owner_s": "remind_owner",
    "retention_closed_incidents_s": "retention.closed_incidents",
    "retention_audit_s": "retention.audit",
    "storm_cards": "storm.cards",
    "storm_within_s": "storm.within",
}


def _format_value(column: str, value: Any) -> str:
    if value is None:
        return "none"
    if column.endswith("_s"):
        return format_duration(value)
    if isinstance(value, list):
        return format_rules(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{workspace}: {user}" for workspace, user in sorted(value.items())) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def record_removal(result: Plan, what: str, prune: bool, detail: str = "") -> bool:
    """Adds the line about what the file does not name. Returns whether it is to be removed."""
    result.changes.append(Change(ChangeKind.REMOVED if prune else ChangeKind.KEPT, what, detail))
    return prune


def format_lists(**lists: Sequence[str]) -> str:
    """The lists that are not empty, each behind its name."""
    return ", ".join(f"{name} {' '.join(values)}" for name, values in lists.items() if values)
