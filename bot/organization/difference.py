"""Compares the database with an organization file: a pure function from values to a plan.

A field that an entry leaves out has its default. Without `prune` nothing is removed, neither an entry that the file no
longer names nor an element of a list within an entry.
"""

from __future__ import annotations

from bot.organization.file import OrganizationFile
from bot.organization.member_difference import compare_members
from bot.organization.plan import Change, ChangeKind, Plan, find_missing, format_lists, record_changes, record_removal
from storage.queries.organization import OrganizationState

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
        result.organization = record_changes(result, what, {key: getattr(state, key) for key in wanted}, wanted)
    for workspace in find_missing(entry.workspaces, now.workspaces):
        result.workspaces_added.append(workspace)
        detail = "was disconnected in Slack" if workspace in now.workspaces_disconnected else ""
        result.changes.append(Change(ChangeKind.ADDED, f"workspace {workspace}", detail))
    result.workspaces_named = [one for one in entry.workspaces if one in now.workspaces_of_slack]
    for workspace in result.workspaces_named:
        result.changes.append(
            Change(ChangeKind.CHANGED, f"workspace {workspace}", "now from the file; was connected in Slack")
        )
    # What an owner has connected in Slack stays until the file names it.
    for workspace in find_missing(sorted(now.workspaces_of_slack), entry.workspaces):
        result.changes.append(Change(ChangeKind.KEPT, f"workspace {workspace}", "connected in Slack"))
    for workspace in find_missing(sorted(now.workspaces - now.workspaces_of_slack), entry.workspaces):
        if record_removal(result, f"workspace {workspace}", prune):
            result.workspaces_removed.append(workspace)
    _compare_teams(result, now, file, prune)
    _compare_projects(result, now, file, prune)
    compare_members(result, now, file, prune)
    _compare_digests(result, now, file, prune)
    return result


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
        elif values := record_changes(result, f"team {row.slug}", {key: getattr(row, key) for key in wanted}, wanted):
            result.teams_changed[row.id] = values
    for slug in find_missing(sorted(now.teams), [entry.slug for entry in file.teams]):
        if record_removal(result, f"team {slug}", prune):
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
                Change(ChangeKind.ADDED, what, format_lists(teams=entry.teams, channels=entry.channels))
            )
            result.project_teams_added += [(entry.slug, team) for team in entry.teams]
            result.channels_added += [(entry.slug, channel) for channel in entry.channels]
            continue
        if values := record_changes(result, what, {column: getattr(row, column) for column in wanted}, wanted):
            result.projects_changed[row.id] = values
        for team in find_missing(entry.teams, row.teams):
            result.project_teams_added.append((entry.slug, team))
            result.changes.append(Change(ChangeKind.ADDED, what, f"team {team}"))
        for channel in find_missing(entry.channels, row.channels):
            result.channels_added.append((entry.slug, channel))
            result.changes.append(Change(ChangeKind.ADDED, what, f"channel {channel}"))
        for team in find_missing(sorted(row.teams), entry.teams):
            if record_removal(result, what, prune, f"team {team}"):
                result.project_teams_removed.append((row.id, now.teams[team].id))
        for channel in find_missing(sorted(row.channels), entry.channels):
            if record_removal(result, what, prune, f"channel {channel}"):
                result.channels_removed.append((row.id, channel))
    for slug in find_missing(sorted(now.projects), [entry.slug for entry in file.projects]):
        if record_removal(result, f"project {slug}", prune):
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
        elif values := record_changes(result, what, row.values(), wanted):
            result.digests_changed[row.id] = values
    for name in find_missing(sorted(there), [entry.name for entry in file.digests]):
        if record_removal(result, f"digest {name}", prune):
            result.digests_removed.append(there[name].id)
