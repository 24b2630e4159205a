"""Compares the members of the database with those of an organization file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from bot.organization.file import MemberEntry, OrganizationFile
from bot.organization.plan import (
    Change,
    ChangeKind,
    Plan,
    Values,
    find_missing,
    format_lists,
    record_changes,
    record_removal,
)
from storage.member_rows import SlackIds
from storage.queries.organization import MemberRow, OrganizationState

_Owner = TypeVar("_Owner")


def compare_members(result: Plan, now: OrganizationState, file: OrganizationFile, prune: bool) -> None:
    """Adds to the plan what is to be done about members."""
    match = _match_members(now.members, file.members)
    synced = {team.slug for team in file.teams if team.sync_members}
    for entry in file.members:
        # The members of these teams are read from Slack.
        teams = [team for team in entry.teams if team not in synced]
        row = match.get(entry.email)
        wanted = {
            "email": entry.email,
            "name": entry.name,
            "slack": entry.slack,
            "role": entry.role.value,
            "superuser": entry.superuser,
        }
        if row is None:
            result.members_added.append(_split_ids(result, entry.email, wanted))
            detail = format_lists(role=[entry.role.value], teams=teams)
            result.changes.append(Change(ChangeKind.ADDED, f"member {entry.email}", detail))
            result.member_teams_added += [(entry.email, team) for team in teams]
            continue
        what = f"member {row.email}"
        before = {
            "email": row.email,
            "name": row.name,
            "slack": row.slack,
            "role": row.role,
            "superuser": row.superuser,
        }
        if row.removed is not None:
            result.members_changed[row.id] = {**_split_ids(result, entry.email, wanted), "date_removed": None}
            where = " in Slack" if row.changed_in_slack else ""
            detail = f"again, after leaving{where} on {row.removed:%Y-%m-%d}; role {entry.role.value}"
            result.changes.append(Change(ChangeKind.ADDED, f"member {entry.email}", detail))
        elif values := record_changes(result, what, before, wanted):
            result.members_changed[row.id] = _split_ids(result, entry.email, values)
        if row.changed_in_slack:
            # From now on the file counts.
            result.members_changed.setdefault(row.id, {})["changed_in_slack"] = False
            detail = "was changed in Slack; the file counts from now on"
            result.changes.append(Change(ChangeKind.CHANGED, what, detail))
        for team in find_missing(teams, row.teams):
            result.member_teams_added.append((entry.email, team))
            result.changes.append(Change(ChangeKind.ADDED, f"member {entry.email}", f"team {team}"))
        for team in find_missing(sorted(row.teams - synced), teams):
            if record_removal(result, f"member {entry.email}", prune, f"team {team}"):
                result.member_teams_removed.append((row.id, now.teams[team].id))
    matched = {row.id for row in match.values()}
    _remove_unnamed(result, now.members, matched, prune)
    _free_identities(result, now.members, matched, file.members)


def _split_ids(result: Plan, email: str, values: Values) -> Values:
    """The columns of a member. Ids by workspace are rows of their own, and put into the plan."""
    if "slack" not in values:
        return values
    slack: SlackIds = values["slack"]
    by_workspace = isinstance(slack, Mapping)
    result.slack_ids[email] = slack if isinstance(slack, Mapping) else {}
    columns = {key: value for key, value in values.items() if key != "slack"}
    return columns | {"slack_user_id": None if by_workspace else slack}


def _remove_unnamed(result: Plan, rows: Sequence[MemberRow], matched: Collection[int], prune: bool) -> None:
    for row in rows:
        if row.id in matched:
            continue
        if row.removed is not None:
            if row.changed_in_slack:
                result.members_changed[row.id] = {"changed_in_slack": False}
                detail = "was removed in Slack, and the file does not name them"
                result.changes.append(Change(ChangeKind.CHANGED, f"member {row.email}", detail))
            continue
        if row.changed_in_slack:
            record_removal(result, f"member {row.email}", False, "added or changed in Slack")
        elif record_removal(result, f"member {row.email}", prune):
            result.members_removed.append(row.id)


def _match_members(rows: Sequence[MemberRow], entries: Sequence[MemberEntry]) -> dict[str, MemberRow]:
    """Matches each entry, by its e-mail, with a stored member.

    An equal e-mail is the same person; if the e-mail has changed, an equal Slack id is. Removed members are tried last.
    """
    match: dict[str, MemberRow] = {}
    taken: set[int] = set()
    for left in (False, True):
        there = [row for row in rows if (row.removed is not None) is left]
        by_email = {row.email: row for row in there}
        by_user = _group_by_user((row.slack, row) for row in there)
        for found in (
            [by_email.get(entry.email) for entry in entries],
            [next(_find_same(by_user, entry.slack), None) for entry in entries],
        ):
            for entry, row in zip(entries, found, strict=True):
                if row is not None and entry.email not in match and row.id not in taken:
                    match[entry.email] = row
                    taken.add(row.id)
    return match


def _free_identities(
    result: Plan, rows: Sequence[MemberRow], matched: Collection[int], entries: Sequence[MemberEntry]
) -> None:
    """Takes the e-mails and Slack ids of the file's entries from members that the file does not name."""
    emails = {entry.email for entry in entries}
    by_user = _group_by_user((entry.slack, entry.email) for entry in entries)
    removed = frozenset(result.members_removed)
    for row in rows:
        if row.id in matched:
            continue
        if row.email in emails:
            # Only somebody who left can be without a match and share an entry's e-mail: that of their
            # successor, who is known by the Slack id.
            result.members_changed[row.id] = {"email": f"left-{row.id}-{row.email}"}
        elif row.removed is None and row.id not in removed and _is_given(by_user, row.slack):
            left: SlackIds = None
            if isinstance(row.slack, Mapping):
                pairs = row.slack.items()
                left = {one: user for one, user in pairs if not _is_given(by_user, {one: user})} or None
            what = f"member {row.email}"
            values = record_changes(result, what, {"slack": row.slack}, {"slack": left})
            result.members_changed[row.id] = _split_ids(result, row.email, values)


def _group_by_user(owners: Iterable[tuple[SlackIds, _Owner]]) -> dict[str, list[tuple[SlackIds, _Owner]]]:
    """Who has a Slack id in any workspace, by that id."""
    grouped: dict[str, list[tuple[SlackIds, _Owner]]] = {}
    for ids, owner in owners:
        for user in _list_users(ids):
            grouped.setdefault(user, []).append((ids, owner))
    return grouped


def _find_same(by_user: Mapping[str, list[tuple[SlackIds, _Owner]]], ids: SlackIds) -> Iterator[_Owner]:
    """Those who have one of these ids in the same workspace. An id without a workspace is one of all."""
    for user in _list_users(ids):
        for others, owner in by_user.get(user, []):
            if not (isinstance(ids, Mapping) and isinstance(others, Mapping)) or ids.items() & others.items():
                yield owner


def _is_given(by_user: Mapping[str, list[tuple[SlackIds, _Owner]]], ids: SlackIds) -> bool:
    return next(_find_same(by_user, ids), None) is not None


def _list_users(ids: SlackIds) -> Collection[str]:
    return ids.values() if isinstance(ids, Mapping) else [ids] if ids else []
