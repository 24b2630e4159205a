"""Compares the database with an organization file: a pure function from values to a plan.

A field that an entry leaves out has its default. Without `prune` nothing is removed, neither an entry that the file no
longer names nor an element of a list within an entry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.incidents.durations import format_duration
from bot.organization.calls import format_rules
from bot.organization.file import MemberEntry, OrganizationFile
from storage.queries.organization import MemberRow, OrganizationState


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
        )


_NEW_ORGANIZATION = OrganizationState(0, "", "", open_membership=False, incidents=False, shared_channels=False)


def compare(state: OrganizationState | None, file: OrganizationFile, *, prune: bool) -> Plan:
    """The plan that makes the database match `file`. `state` is None for a new organization."""
    result = Plan()
    now = state or _NEW_ORGANIZATION
    entry = file.organization
    wanted = {
        "name": entry.name,
        "open_membership": entry.open_membership,
        "incidents": entry.incidents,
        "shared_channels": entry.shared_channels,
        "acknowledge_reaction": entry.acknowledge_reaction,
        "resolve_reaction": entry.resolve_reaction,
        "retention_closed_incidents_s": entry.retention.closed_incidents,
        "retention_audit_s": entry.retention.audit,
    }
    what = f"organization {entry.slug}"
    if state is None:
        result.organization = {"slug": entry.slug, **wanted}
        result.changes.append(Change(ChangeKind.ADDED, what))
    else:
        result.organization = _record_changes(result, what, {key: getattr(state, key) for key in wanted}, wanted)
    for workspace in _find_missing(entry.workspaces, now.workspaces):
        result.workspaces_added.append(workspace)
        result.changes.append(Change(ChangeKind.ADDED, f"workspace {workspace}"))
    result.workspaces_named = [one for one in entry.workspaces if one in now.workspaces_of_slack]
    for workspace in result.workspaces_named:
        result.changes.append(
            Change(ChangeKind.CHANGED, f"workspace {workspace}", "now from the file; was connected in Slack")
        )
    # What an owner has connected in Slack stays until the file names it.
    for workspace in _find_missing(sorted(now.workspaces_of_slack), entry.workspaces):
        result.changes.append(Change(ChangeKind.KEPT, f"workspace {workspace}", "connected in Slack"))
    for workspace in _find_missing(sorted(now.workspaces - now.workspaces_of_slack), entry.workspaces):
        if _record_removal(result, f"workspace {workspace}", prune):
            result.workspaces_removed.append(workspace)
    _compare_teams(result, now, file, prune)
    _compare_projects(result, now, file, prune)
    _compare_members(result, now, file, prune)
    _compare_digests(result, now, file, prune)
    return result


def _find_missing(wanted: Collection[str], there: Collection[str]) -> list[str]:
    known = frozenset(there)
    return [value for value in wanted if value not in known]


def _record_changes(result: Plan, what: str, before: Mapping[str, Any], wanted: Mapping[str, Any]) -> Values:
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
    "slack_user_id": "slack",
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
    return str(value).lower() if isinstance(value, bool) else str(value)


def _record_removal(result: Plan, what: str, prune: bool, detail: str = "") -> bool:
    result.changes.append(Change(ChangeKind.REMOVED if prune else ChangeKind.KEPT, what, detail))
    return prune


def _compare_teams(result: Plan, now: OrganizationState, file: OrganizationFile, prune: bool) -> None:
    for entry in file.teams:
        wanted = {
            "name": entry.name,
            "slack_usergroup": entry.slack_usergroup,
            "sync_members": entry.sync_members,
            "remind_owner_s": entry.remind_owner,
            "oncall_usergroup": entry.oncall_usergroup,
            "oncall_channel": entry.oncall_channel,
            "timezone": entry.timezone,
            "calls": None if entry.calls is None else [rule.build_rule().to_json() for rule in entry.calls],
        }
        row = now.teams.get(entry.slug)
        if row is None:
            result.teams_added.append({"slug": entry.slug, **wanted})
            result.changes.append(Change(ChangeKind.ADDED, f"team {entry.slug}"))
        elif values := _record_changes(result, f"team {row.slug}", {key: getattr(row, key) for key in wanted}, wanted):
            result.teams_changed[row.id] = values
    for slug in _find_missing(sorted(now.teams), [entry.slug for entry in file.teams]):
        if _record_removal(result, f"team {slug}", prune):
            result.teams_removed.append(now.teams[slug].id)


def _compare_projects(result: Plan, now: OrganizationState, file: OrganizationFile, prune: bool) -> None:
    for entry in file.projects:
        row = now.projects.get(entry.slug)
        what = f"project {entry.slug}"
        wanted = {
            "name": entry.name,
            "quiet_minutes": entry.quiet_minutes,
            "storm_cards": entry.storm.cards,
            "storm_within_s": entry.storm.within,
        }
        if row is None:
            result.projects_added.append({"slug": entry.slug, **wanted})
            result.changes.append(
                Change(ChangeKind.ADDED, what, _format_lists(teams=entry.teams, channels=entry.channels))
            )
            result.project_teams_added += [(entry.slug, team) for team in entry.teams]
            result.channels_added += [(entry.slug, channel) for channel in entry.channels]
            continue
        if values := _record_changes(result, what, {column: getattr(row, column) for column in wanted}, wanted):
            result.projects_changed[row.id] = values
        for team in _find_missing(entry.teams, row.teams):
            result.project_teams_added.append((entry.slug, team))
            result.changes.append(Change(ChangeKind.ADDED, what, f"team {team}"))
        for channel in _find_missing(entry.channels, row.channels):
            result.channels_added.append((entry.slug, channel))
            result.changes.append(Change(ChangeKind.ADDED, what, f"channel {channel}"))
        for team in _find_missing(sorted(row.teams), entry.teams):
            if _record_removal(result, what, prune, f"team {team}"):
                result.project_teams_removed.append((row.id, now.teams[team].id))
        for channel in _find_missing(sorted(row.channels), entry.channels):
            if _record_removal(result, what, prune, f"channel {channel}"):
                result.channels_removed.append((row.id, channel))
    for slug in _find_missing(sorted(now.projects), [entry.slug for entry in file.projects]):
        if _record_removal(result, f"project {slug}", prune):
            result.projects_removed[now.projects[slug].id] = slug


def _compare_digests(result: Plan, now: OrganizationState, file: OrganizationFile, prune: bool) -> None:
    # Digests go with their workspace: in another one, all of them are new.
    there = {} if result.workspaces_removed else {row.name: row for row in now.digests}
    for entry in file.digests:
        wanted = {
            "channel_id": entry.channel,
            "owner": entry.owner,
            "cron": entry.schedule,
            "zone": entry.zone,
            "filters": entry.filters,
            "skip_empty": entry.empty == "skip",
            "picture": entry.picture,
            "grace_minutes": entry.grace_minutes,
        }
        what = f"digest {entry.name}"
        row = there.get(entry.name)
        if row is None:
            result.digests_added.append({"name": entry.name, **wanted})
            detail = f"{entry.schedule} ({entry.zone}) in {entry.channel}"
            result.changes.append(Change(ChangeKind.ADDED, what, detail))
        elif values := _record_changes(result, what, row.values(), wanted):
            result.digests_changed[row.id] = values
    for name in _find_missing(sorted(there), [entry.name for entry in file.digests]):
        if _record_removal(result, f"digest {name}", prune):
            result.digests_removed.append(there[name].id)


def _format_lists(**lists: Sequence[str]) -> str:
    return ", ".join(f"{name} {' '.join(values)}" for name, values in lists.items() if values)


# --- members -----------------------------------------------------------------------------------------------


def _compare_members(result: Plan, now: OrganizationState, file: OrganizationFile, prune: bool) -> None:
    match = _match_members(now.members, file.members)
    synced = {team.slug for team in file.teams if team.sync_members}
    for entry in file.members:
        # The members of these teams are read from Slack.
        teams = [team for team in entry.teams if team not in synced]
        row = match.get(entry.email)
        wanted = {
            "email": entry.email,
            "name": entry.name,
            "slack_user_id": entry.slack,
            "role": entry.role.value,
            "superuser": entry.superuser,
        }
        if row is None:
            result.members_added.append(wanted)
            detail = _format_lists(role=[entry.role.value], teams=teams)
            result.changes.append(Change(ChangeKind.ADDED, f"member {entry.email}", detail))
            result.member_teams_added += [(entry.email, team) for team in teams]
            continue
        what = f"member {row.email}"
        before = {
            "email": row.email,
            "name": row.name,
            "slack_user_id": row.slack,
            "role": row.role,
            "superuser": row.superuser,
        }
        if row.removed is not None:
            result.members_changed[row.id] = {**wanted, "date_removed": None}
            where = " in Slack" if row.changed_in_slack else ""
            detail = f"again, after leaving{where} on {row.removed:%Y-%m-%d}; role {entry.role.value}"
            result.changes.append(Change(ChangeKind.ADDED, f"member {entry.email}", detail))
        elif values := _record_changes(result, what, before, wanted):
            result.members_changed[row.id] = values
        if row.changed_in_slack:
            # From now on the file counts.
            result.members_changed.setdefault(row.id, {})["changed_in_slack"] = False
            detail = "was changed in Slack; the file counts from now on"
            result.changes.append(Change(ChangeKind.CHANGED, what, detail))
        for team in _find_missing(teams, row.teams):
            result.member_teams_added.append((entry.email, team))
            result.changes.append(Change(ChangeKind.ADDED, f"member {entry.email}", f"team {team}"))
        for team in _find_missing(sorted(row.teams - synced), teams):
            if _record_removal(result, f"member {entry.email}", prune, f"team {team}"):
                result.member_teams_removed.append((row.id, now.teams[team].id))
    matched = {row.id for row in match.values()}
    _remove_unnamed(result, now.members, matched, prune)
    _free_identities(result, now.members, matched, file.members)


def _remove_unnamed(result: Plan, rows: Sequence[MemberRow], matched: Collection[int], prune: bool) -> None:
    for row in rows:
        if row.id in matched or row.removed is not None:
            continue
        if row.changed_in_slack:
            _record_removal(result, f"member {row.email}", False, "added or changed in Slack")
        elif _record_removal(result, f"member {row.email}", prune):
            result.members_removed.append(row.id)


def _match_members(rows: Sequence[MemberRow], entries: Sequence[MemberEntry]) -> dict[str, MemberRow]:
    """Matches each entry, by its e-mail, with a stored member.

    An equal e-mail is the same person; if the e-mail has changed, an equal Slack id is. Removed members are tried last.
    """
    match: dict[str, MemberRow] = {}
    taken: set[int] = set()
    for left in (False, True):
        there = [row for row in rows if (row.removed is not None) is left]
        by_email: dict[str | None, MemberRow] = {row.email: row for row in there}
        by_slack: dict[str | None, MemberRow] = {row.slack: row for row in there if row.slack}
        for known, keys in (
            (by_email, [entry.email for entry in entries]),
            (by_slack, [entry.slack for entry in entries]),
        ):
            for entry, key in zip(entries, keys, strict=True):
                row = known.get(key)
                if row is not None and entry.email not in match and row.id not in taken:
                    match[entry.email] = row
                    taken.add(row.id)
    return match


def _free_identities(
    result: Plan, rows: Sequence[MemberRow], matched: Collection[int], entries: Sequence[MemberEntry]
) -> None:
    """Takes the e-mails and Slack ids of the file's entries from members that the file does not name."""
    emails = {entry.email for entry in entries}
    slack_ids = {entry.slack for entry in entries if entry.slack}
    removed = frozenset(result.members_removed)
    for row in rows:
        if row.id in matched:
            continue
        if row.email in emails:
            # Only somebody who left can be without a match and share an entry's e-mail: that of their
            # successor, who is known by the Slack id.
            result.members_changed[row.id] = {"email": f"left-{row.id}-{row.email}"}
        elif row.slack in slack_ids and row.removed is None and row.id not in removed:
            result.members_changed[row.id] = {"slack_user_id": None}
            result.changes.append(Change(ChangeKind.CHANGED, f"member {row.email}", f"slack: {row.slack} -> none"))
