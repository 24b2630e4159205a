"""The checks of `doctor` of every workspace that the bot works in: organizations, members, channels, user groups.

A channel and a user group are in one of the workspaces of their organization, so they are looked for in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from bot.doctor.finding import LATER, NOT_REACHED, Finding, get_reason
from bot.people.member_check import check_members
from bot.people.oncall import NO_SUCH_USERGROUP
from storage.engine import Store
from storage.queries import doctor as queries
from storage.queries.doctor import OrganizationSetup

MOST_WORKSPACES = 20
ORGANIZATIONS_AT_ONCE = 8  # each is checked by a thread
_NO_CHANNEL = frozenset({"channel_not_found"})


@dataclass(frozen=True, slots=True)
class CheckedWorkspace:
    """A workspace whose token works."""

    id: str
    name: str
    client: WebClient
    bot: str  # the bot's user name, for `/invite`


@dataclass(frozen=True, slots=True)
class _Organization:
    """An organization, and its workspaces that are checked."""

    setup: OrganizationSetup
    workspaces: Sequence[CheckedWorkspace]
    complete: bool  # those are all that it has
    channels: Mapping[str, list[str]]  # by id, with the projects
    oncall_usergroups: Mapping[str, list[str]]  # by id, with the teams
    team_usergroups: Mapping[str, list[str]]
    unmatched_emails: Mapping[str, Sequence[str]]  # by workspace

    @property
    def bot(self) -> str:
        return self.workspaces[0].bot


def check_workspaces(store: Store, workspaces: Sequence[CheckedWorkspace]) -> Iterator[Finding]:
    """What is wrong in the workspaces. Each finding names its workspace where there are several."""
    unique = list({one.id: one for one in reversed(workspaces)}.values())[::-1]
    checked, left = unique[:MOST_WORKSPACES], unique[MOST_WORKSPACES:]
    organizations, homeless = _read_organizations(store, checked)
    for workspace in homeless:
        fix = f"Name {workspace.id} under organization.workspaces in the organization file, and apply it."
        yield Finding("organization", f"the workspace {workspace.id} belongs to none", fix)
    several = len(checked) > 1
    with ThreadPoolExecutor(ORGANIZATIONS_AT_ONCE) as pool:
        for findings in pool.map(lambda one: list(_check_organization(one, several)), organizations):
            yield from findings
    if left:
        yield Finding("workspaces", f"{len(left)} more were not looked at")


def _read_organizations(
    store: Store, checked: Sequence[CheckedWorkspace]
) -> tuple[list[_Organization], list[CheckedWorkspace]]:
    """The organizations of workspaces, and the workspaces that have none."""
    found, homeless = [], []
    with store.read() as connection:
        groups = queries.group_workspaces(connection, [one.id for one in checked])
        by_id = {one.id: one for one in checked}
        for all_ids in groups:
            ids = [id_ for id_ in by_id if id_ in all_ids]
            setup = queries.find_organization_setup(connection, ids[0])
            assert setup is not None
            found.append(
                _Organization(
                    setup=setup,
                    workspaces=[by_id[id_] for id_ in ids],
                    complete=set(ids) == all_ids,
                    channels=queries.get_channels(connection, ids[0]),
                    oncall_usergroups=queries.get_oncall_usergroups(connection, ids[0]),
                    team_usergroups=queries.get_team_usergroups(connection, ids[0]),
                    unmatched_emails={id_: queries.list_unmatched_emails(connection, id_) for id_ in ids},
                )
            )
    known = {id_ for all_ids in groups for id_ in all_ids}
    homeless = [one for one in checked if one.id not in known]
    return found, homeless


def _check_organization(of: _Organization, several: bool) -> Iterator[Finding]:
    """`several`: workspaces are checked, so each finding names its own."""
    setup = of.setup
    if not setup.incidents:
        fix = "Set organization.incidents to true in the organization file, and apply it."
        yield Finding("organization", f"incidents are switched off for {setup.name}", fix)
    elif not setup.members:
        fix = "Add them under members in the organization file, and apply it."
        yield Finding("organization", f"{setup.name} has no members, so nobody can use the bot", fix)
    else:
        counts = ", ".join(
            f"{count} {name}{'' if count == 1 else 's'}"
            for count, name in ((setup.members, "member"), (setup.projects, "project"))
        )
        yield Finding("organization", f"{setup.name}, {counts}")
    everywhere = " and ".join(f"{one.name} ({one.id})" for one in of.workspaces)

    def name(finding: Finding, workspace: CheckedWorkspace | None) -> Finding:
        where = f"{workspace.name} ({workspace.id})" if workspace else everywhere
        return replace(finding, what=f"{finding.what} in {where}") if several else finding

    for workspace in of.workspaces:
        for finding in _check_members(workspace.client, workspace.id, of.unmatched_emails[workspace.id]):
            yield name(finding, workspace)
    for channel_id, projects in of.channels.items():
        yield name(*_check_channel(of, channel_id, projects))
    for usergroup, teams in of.oncall_usergroups.items():
        yield name(*_check_usergroup(of, usergroup, teams))
    if of.team_usergroups:
        for finding in _check_team_usergroups(of.workspaces[0].client, of.team_usergroups):
            yield name(finding, of.workspaces[0])


def _ask(
    of: _Organization, call: Callable[[WebClient], SlackResponse], absent: Collection[str]
) -> tuple[CheckedWorkspace, SlackResponse]:
    """The first workspace of the organization where Slack knows something, and its answer.

    `absent` are Slack's errors where it does not. Raises SlackApiError and OSError if it is known nowhere.
    """
    failure: SlackApiError | OSError | None = None
    for workspace in of.workspaces:
        try:
            return workspace, call(workspace.client)
        except SlackApiError as error:
            if failure is None or error.response.get("error") not in absent:
                failure = error
        except OSError as error:
            failure = error
    assert failure is not None
    raise failure


def _explain_absence(
    organization: _Organization, error: SlackApiError | OSError, absent: Collection[str], gone: tuple[str, str]
) -> tuple[str, str | None]:
    """What an error of `_ask` says, and how to fix it. `gone` is that where no workspace of the organization has it."""
    if isinstance(error, OSError) or error.response.get("error") not in absent:
        return _explain_failure(error, "look it up")
    return gone if organization.complete else ("it is in none of the workspaces that were checked", None)


def _explain_failure(error: SlackApiError | OSError, doing: str) -> tuple[str, str]:
    """What kept Slack from `doing` that, and how to fix it."""
    if isinstance(error, OSError):
        return f"Slack cannot be reached: {get_reason(error)}", NOT_REACHED
    reason = error.response.get("error")
    return f"Slack could not {doing} ({reason})", "See scopes, above." if reason == "missing_scope" else LATER


def _check_team_usergroups(client: WebClient, usergroups: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Whether the user groups by which people mention the teams are there."""
    what = "user groups"
    try:
        groups = client.usergroups_list(include_disabled=True).get("usergroups") or []
    except (SlackApiError, OSError) as error:
        yield Finding(what, *_explain_failure(error, "list them"))
        return
    enabled = {str(group["id"]): not group.get("date_delete") for group in groups}
    sound = 0
    for usergroup, teams in usergroups.items():
        of = ", ".join(teams)
        if enabled.get(usergroup):
            sound += 1
            continue
        says = "it is disabled" if usergroup in enabled else "Slack has no such user group"
        fix = f"Enable it in Slack, or name another as slack_usergroup of {of} in the organization file and apply it."
        yield Finding(f"user group {usergroup} of {of}", says, fix)
    if sound == len(usergroups):
        yield Finding(what, f"all {sound} of teams are there" if sound > 1 else "the one of a team is there")


def _check_usergroup(
    organization: _Organization, usergroup: str, teams: list[str]
) -> tuple[Finding, CheckedWorkspace | None]:
    """Whether the user group of who is on call for these teams can be read, and has somebody in it; and where it is."""
    workspace = None

    def found(says: str, fix: str | None = None) -> tuple[Finding, CheckedWorkspace | None]:
        return Finding(what, says, fix), workspace

    of = ", ".join(teams)
    what = f"user group {usergroup}, on call for {of}"
    try:
        workspace, answer = _ask(
            organization, lambda client: client.usergroups_users_list(usergroup=usergroup), NO_SUCH_USERGROUP
        )
    except (SlackApiError, OSError) as error:
        fix = f"Enable it in Slack, or name another as oncall_usergroup of {of} in the organization file."
        gone = "Slack has no such user group, or it is disabled: nobody is on call", fix
        return found(*_explain_absence(organization, error, NO_SUCH_USERGROUP, gone))
    people = answer.get("users") or []
    if not people:
        return found("nobody is in it, so nobody is called", "Add who is on call to it in Slack.")
    return found(f"{len(people)} {'person' if len(people) == 1 else 'people'} on call")


def _check_members(client: WebClient, workspace_id: str, emails: Sequence[str]) -> Iterator[Finding]:
    """Whether members with only an e-mail can be matched by it. Members who have used the bot are matched already."""
    try:
        found = check_members(client, workspace_id, emails)
    except (SlackApiError, OSError) as error:
        yield Finding("members", *_explain_failure(error, "look them up"))
        return
    if found.unmatched:
        fix = f"Write their Slack ids into the organization file (`slack: {next(iter(found.unmatched))}`), apply it."
        are = "1 is" if len(found.unmatched) == 1 else f"{len(found.unmatched)} are"
        yield Finding("members", f"{are} not let in by their e-mail: {', '.join(found.unmatched.values())}", fix)
    says = []
    if found.absent:
        says.append(f"{found.absent} {'has' if found.absent == 1 else 'have'} no account in this workspace")
    if found.not_asked:
        says.append(f"{found.not_asked} more were not looked at")
    if says or not found.unmatched:
        yield Finding("members", "; ".join(says) or "all are known by their Slack id or e-mail")


def _check_channel(
    organization: _Organization, channel_id: str, projects: list[str]
) -> tuple[Finding, CheckedWorkspace | None]:
    """Whether cards can be posted in a channel, and where it is."""
    workspace, bot = None, organization.bot

    def found(says: str, fix: str | None = None) -> tuple[Finding, CheckedWorkspace | None]:
        return Finding(what, says, fix), workspace

    of = ", ".join(projects)
    elsewhere = f"name another under projects.channels of {of} in the organization file and apply it."
    what = f"channel {channel_id} of {of}"
    try:
        workspace, answer = _ask(
            organization, lambda client: client.conversations_info(channel=channel_id), _NO_CHANNEL
        )
    except (SlackApiError, OSError) as error:
        fix = f"If it is private, say `/invite @{bot}` in it; if it is gone, {elsewhere}"
        gone = "the bot cannot find it: private without the bot in it, or gone", fix
        return found(*_explain_absence(organization, error, _NO_CHANNEL, gone))
    channel: Mapping[str, Any] = answer["channel"]
    bot = workspace.bot
    what = f"channel #{channel.get('name', channel_id)} of {of}"
    if channel.get("is_archived"):
        return found("it is archived", f"Unarchive it, or {elsewhere}")
    shared = channel.get("is_ext_shared") or channel.get("is_pending_ext_shared")
    if shared and not organization.setup.shared_channels:
        fix = f"If that company may read along, set organization.shared_channels to true; if not, {elsewhere}"
        return found("it is shared with another company, so no cards go there", fix)
    if not channel.get("is_member"):
        fix = f"Say `/invite @{bot}` in it."
        return found("the bot is not in it, and hears no replies and reactions there", fix)
    return found("the bot is in it")
