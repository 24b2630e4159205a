"""Makes the database match an organization file, in one transaction."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.digests.schedule import parse_cron
from bot.incidents import lifecycle, ownership
from bot.organization.audit import build_changes
from bot.organization.difference import compare
from bot.organization.file import OrganizationFile
from bot.organization.plan import Change, ChangeKind, Plan, Values
from storage.audit_rows import Actor, AuditOrigin
from storage.engine import Store, limit_writes
from storage.queries import audit, digests, homes, outbox, owner_reminders, slack_ids
from storage.queries import organization as stored
from storage.queries import organization_changes as changes
from storage.queries.home_workspaces import find_home
from storage.queries.organization import OrganizationState
from storage.values import Role, Status, StatusMethod


class NotApplicable(ValueError):
    """The file is valid, but conflicts with what the database holds; `sentence` says how."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


BY_FILE = Actor(AuditOrigin.FILE)
_MOST_NAMED = 5  # in a sentence


def apply(
    store: Store, file: OrganizationFile, now: datetime, *, prune: bool, dry_run: bool, actor: Actor = BY_FILE
) -> Plan:
    """Writes what differs, or nothing with `dry_run`. Returns the difference. The audit log says `actor` did it.

    Raises NotApplicable, DatabaseAway, Contended.
    """
    if dry_run:
        with store.read() as connection:
            return _plan(connection, file, prune=prune)[1]
    with store.write() as tx:
        changes.lock_apply(tx)
        state, result = _plan(tx, file, prune=prune)
        if not result.empty:
            _write(tx, state, result, now)
            after = stored.find_organization(tx, file.organization.slug)
            assert after is not None
            audit.record(tx, after.id, actor, build_changes(state, after), now)
        return result


def _plan(connection: Connection, file: OrganizationFile, *, prune: bool) -> tuple[OrganizationState | None, Plan]:
    entry = file.organization
    state = stored.find_organization(connection, entry.slug)
    check_workspaces(connection, file)
    result = compare(state, file, prune=prune)
    _check_workspaces_of_members(state, file, result)
    if state is not None:
        _check_owners(state, file, result)
    if file.digests and not (entry.workspaces or (state and state.workspaces)):
        raise NotApplicable("digests: a digest is posted in Slack, and organization.workspaces names no workspace")
    _add_consequences(connection, state, result)
    return state, result


def check_workspaces(connection: Connection, file: OrganizationFile) -> None:
    """Raises NotApplicable for a workspace that another organization of this database has."""
    entry = file.organization
    for workspace, owner in stored.get_workspace_owners(connection, entry.workspaces, entry.slug).items():
        raise NotApplicable(
            f"organization.workspaces: {workspace} belongs to the organization {owner}, and a workspace belongs to"
            " one only"
        )


def list_new_workspaces(connection: Connection, file: OrganizationFile) -> list[str]:
    """The workspaces of the file that the organization does not have yet."""
    state = stored.find_organization(connection, file.organization.slug)
    return [one for one in file.organization.workspaces if state is None or one not in state.workspaces]


def _check_workspaces_of_members(state: OrganizationState | None, file: OrganizationFile, result: Plan) -> None:
    """Raises NotApplicable for a Slack id in a workspace that the organization does not have, with this file."""
    there = {*file.organization.workspaces, *(state.workspaces if state else ())} - {*result.workspaces_removed}
    for position, entry in enumerate(file.members):
        named = entry.slack if isinstance(entry.slack, Mapping) else {}
        for workspace in sorted(named.keys() - there):
            near = difflib.get_close_matches(workspace, there, n=1)
            hint = f"did you mean {near[0]}?" if near else "name it under organization.workspaces"
            raise NotApplicable(
                f"members[{position}].slack.{workspace}: the organization has no workspace {workspace}; {hint}"
            )


def _check_owners(state: OrganizationState, file: OrganizationFile, result: Plan) -> None:
    """Raises NotApplicable if the organization has owners and would have none."""
    owners = [one for one in state.members if one.role == Role.OWNER and one.removed is None]
    if not owners or _has_owner_after(state, result):
        return
    demoted = {result.members_changed.get(one.id, {}).get("email", one.email) for one in owners}
    field = next((f"members[{i}].role" for i, one in enumerate(file.members) if one.email in demoted), "members")
    named = ", ".join(one.email for one in owners[:_MOST_NAMED])
    raise NotApplicable(
        f"{field}: {state.slug} would have no owner without {named}; leave one owner, or make another member an owner"
    )


def _has_owner_after(state: OrganizationState, result: Plan) -> bool:
    """Whether somebody is an owner once the plan is carried out."""
    if any(values["role"] == Role.OWNER for values in result.members_added):
        return True
    removed = frozenset(result.members_removed)
    for member in state.members:
        after = {"role": member.role, "date_removed": member.removed, **result.members_changed.get(member.id, {})}
        if member.id not in removed and after["date_removed"] is None and after["role"] == Role.OWNER:
            return True
    return False


def _add_consequences(connection: Connection, state: OrganizationState | None, result: Plan) -> None:
    if state is None or not result.projects_removed:
        return
    incidents = stored.count_incidents(connection, state.id, result.projects_removed)
    tokens = stored.count_tokens(connection, state.id, result.projects_removed)
    at = {change: position for position, change in enumerate(result.changes)}
    for project_id in incidents.keys() | tokens.keys():
        along = []
        if number := incidents.get(project_id):
            along.append(f"{number} incidents, which only their other projects still show")
        if number := tokens.get(project_id):
            along.append(f"{number} intake tokens, which end")
        what = f"project {result.projects_removed[project_id]}"
        result.changes[at[Change(ChangeKind.REMOVED, what)]] = Change(
            ChangeKind.REMOVED, what, f"with {' and '.join(along)}"
        )


def _write(tx: Connection, state: OrganizationState | None, result: Plan, now: datetime) -> None:
    if state is None:
        organization_id = changes.insert_organization(tx, result.organization)
    else:
        organization_id = state.id
        if result.organization:
            changes.update_organization(tx, organization_id, result.organization)
        if result.organization.get("incidents") and not state.incidents:
            outbox.redraw_cards_of_organization(tx, organization_id, now)
    limit_writes(tx, organization_id)
    # Identities first: they are deleted, and looked up again with the new members.
    if result.touches_identities:
        changes.expire_identities(tx, organization_id)
    if result.workspaces_removed:
        changes.delete_workspaces(tx, organization_id, result.workspaces_removed)
    changes.insert_workspaces(tx, organization_id, result.workspaces_added, now)
    changes.claim_workspaces(tx, organization_id, result.workspaces_named)

    changes.unlink_project_teams(tx, organization_id, result.project_teams_removed)
    changes.unlink_channels(tx, organization_id, result.channels_removed)
    outbox.redraw_cards_of_project(tx, organization_id, result.channels_removed, now)
    changes.unlink_member_teams(tx, organization_id, result.member_teams_removed)
    for digest_id in result.digests_removed:
        digests.delete_digest(tx, organization_id, digest_id)
    if result.members_removed:
        changes.mark_members_removed(tx, organization_id, result.members_removed, now)
    if result.projects_removed:
        _remove_projects(tx, organization_id, result, now)
    if result.teams_removed:
        changes.delete_teams(tx, organization_id, result.teams_removed)

    changes.insert_teams(tx, organization_id, result.teams_added)
    changes.update_teams(tx, organization_id, result.teams_changed)
    changes.insert_projects(tx, organization_id, result.projects_added)
    changes.update_projects(tx, organization_id, result.projects_changed)
    changes.update_members(tx, organization_id, result.members_changed)
    changes.insert_members(tx, organization_id, result.members_added)
    slack_ids.replace_ids(tx, organization_id, result.slack_ids)
    changes.link_project_teams(tx, organization_id, result.project_teams_added)
    changes.link_channels(tx, organization_id, result.channels_added)
    changes.link_member_teams(tx, organization_id, result.member_teams_added)
    _write_digests(tx, organization_id, state, result, now)
    ownership.release_lost(tx, organization_id, now)
    owner_reminders.schedule_all(tx, organization_id, now)
    _publish_homes(tx, organization_id, state, result, now)


def _publish_homes(
    tx: Connection, organization_id: int, state: OrganizationState | None, result: Plan, now: datetime
) -> None:
    """Has the Home published anew of those whose role, teams, projects or membership are others now."""
    if result.organization or result.project_teams_added or result.project_teams_removed or result.teams_removed:
        homes.mark_due(tx, organization_id, now, None)
        return
    ids = {row.email: row.id for row in state.members} if state else {}
    changed = {*result.members_changed, *(member_id for member_id, _ in result.member_teams_removed)}
    changed |= {ids[email] for email, _ in result.member_teams_added if email in ids}
    if changed or result.members_added:
        homes.mark_due(
            tx, organization_id, now, changed, newcomers=bool(result.members_added or result.members_changed)
        )


def _write_digests(
    tx: Connection, organization_id: int, state: OrganizationState | None, result: Plan, now: datetime
) -> None:
    if not (result.digests_added or result.digests_changed):
        return
    members, workspace_id = stored.get_members_and_workspace(tx, organization_id)
    for values in result.digests_added:
        digests.insert_digest(
            tx,
            {
                **_build_digest_columns(values, members),
                "organization_id": organization_id,
                "workspace_id": find_home(tx, workspace_id, channel_id=values["channel_id"]),
                "next_fire_at": _next_fire(values["cron"], values["zone"], now),
                "date_added": now,
            },
        )
    there = {row.id: row for row in state.digests} if state else {}
    for digest_id, values in result.digests_changed.items():
        row = there[digest_id]
        columns = _build_digest_columns(values, members)
        if "channel_id" in values:
            columns["workspace_id"] = find_home(tx, workspace_id, channel_id=values["channel_id"])
        if not row.paused:  # a digest that the bot paused is tried again
            following = _next_fire(values.get("cron", row.cron), values.get("zone", row.zone), now)
            columns |= {"next_fire_at": following, "date_paused": None, "pause_reason": None}
        digests.update_digest(tx, organization_id, digest_id, columns)


def _build_digest_columns(values: Values, members: Mapping[str, int]) -> Values:
    """The columns of an entry. Its owner is a member of the file, with no Slack user yet."""
    columns = {key: value for key, value in values.items() if key not in ("owner", "grace_minutes")}
    if "owner" in values:
        columns |= {"owner_id": members[values["owner"]], "owner_user_id": None}
    if "grace_minutes" in values:
        minutes = values["grace_minutes"]
        columns |= {"default_grace": True} if minutes is None else {"default_grace": False, "grace_minutes": minutes}
    return columns


def _next_fire(cron: str, zone: str, now: datetime) -> datetime:
    return parse_cron(cron).next(now, ZoneInfo(zone))


def _remove_projects(tx: Connection, organization_id: int, result: Plan, now: datetime) -> None:
    # Nobody could see these any more, and an open one would keep its alert's key for ever.
    for incident in changes.lock_open_incidents_only_of(tx, organization_id, result.projects_removed):
        lifecycle.change_status(tx, incident, Status.CLOSED, StatusMethod.RULE_UPDATED, now)
    changes.delete_projects(tx, organization_id, list(result.projects_removed))
