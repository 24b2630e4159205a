"""The checks of `doctor` in Slack: tokens, scopes, web socket, the organization's members and channels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from websockets.exceptions import WebSocketException

from bot.doctor.finding import Finding, get_reason
from bot.people.member_check import check_members
from bot.people.oncall import NO_SUCH_USERGROUP
from bot.program import PROGRAM
from bot.settings import Settings
from bot.slack.clients import web_client
from bot.slack.connections import read_greeting
from bot.slack.manifest import SCOPES
from storage.clock import Clock
from storage.engine import Store
from storage.queries import doctor as queries

# The bot refuses Slack's requests over HTTP when they are five minutes apart.
MAX_CLOCK_SKEW_S = 60
# A large organization has more channels than Slack answers questions in a minute; it says how long to wait.
_TRIES = 5  # times

_OAUTH_PAGE = "the app's page “OAuth & Permissions”"
_COPY_BOT_TOKEN = f"Copy the Bot User OAuth Token (xoxb-…) from {_OAUTH_PAGE} into SLACK_BOT_TOKEN, and start again."
# What to do about each of Slack's reasons for refusing the bot token.
_BOT_TOKEN_FIXES = {
    "account_inactive": f"The app was removed from the workspace: install it again there. {_COPY_BOT_TOKEN}",
    "token_revoked": f"The app was removed from the workspace: install it again there. {_COPY_BOT_TOKEN}",
    "token_expired": f"Switch token rotation off for the app, and install it again. {_COPY_BOT_TOKEN}",
    "invalid_auth": _COPY_BOT_TOKEN,
    "not_authed": _COPY_BOT_TOKEN,
    "not_allowed_token_type": _COPY_BOT_TOKEN,
}
_COPY_APP_TOKEN = (
    "On the app's page “Basic Information”, make an app-level token (xapp-…) with connections:write, put it into"
    " SLACK_APP_TOKEN, and switch Socket Mode on."
)
_OTHER_SERVER = "Check SLACK_API_URL: what answers there is not Slack's Web API."
_NOT_REACHED = "Check SLACK_API_URL, the network, and a proxy on the way."
_NO_SOCKET = "Check that a proxy or firewall on the way lets web sockets (wss) through."
_DISCONNECT_FIXES = {
    "too_many_websockets": "An app may have ten: run fewer replicas or workers of it, or use HTTP mode.",
    "link_disabled": "Switch Socket Mode on, on the app's page “Socket Mode”.",
}
_LATER = "That is not the token's fault: try again in a minute, and see status.slack.com if it stays."


def check_slack(settings: Settings, store: Store | None, clock: Clock | None) -> Iterator[Finding]:
    """All checks in Slack. `store` and `clock` are None if the database cannot be used."""
    if settings.slack_bot_token is None:
        yield from _check_app_token(settings, None)
        return
    client = web_client(settings.slack_api_url, settings.slack_bot_token.get_secret_value(), tries=_TRIES)
    try:
        answer = client.auth_test()
    except SlackApiError as error:
        refused = _refused_finding("SLACK_BOT_TOKEN", error, _BOT_TOKEN_FIXES)
        yield refused
        if refused.fix in _BOT_TOKEN_FIXES.values():
            yield from _check_app_token(settings, None)
        return
    except OSError as error:
        yield Finding("Slack", f"cannot be reached: {get_reason(error)}", _NOT_REACHED)
        return
    workspace_id = str(answer["team_id"])
    if not answer.get("bot_id"):
        yield Finding("SLACK_BOT_TOKEN", f"it is a person's ({answer.get('user')}), not a bot's", _COPY_BOT_TOKEN)
        return
    yield Finding("SLACK_BOT_TOKEN", f"bot {answer.get('user')}")
    yield Finding("workspace", f"{answer.get('team')}, id {workspace_id}")
    if clock is not None:
        yield from _check_clock(answer.headers, clock.now())
    yield from _check_scopes(answer.headers)
    yield from _check_app_token(settings, _find_app(client, str(answer["bot_id"])))
    if store is not None:
        yield from _check_organization(client, store, workspace_id, str(answer.get("user")))


def _refused_finding(variable: str, error: SlackApiError, fixes: Mapping[str, str]) -> Finding:
    reason = str(error.response.get("error"))
    if not re.fullmatch(r"[a-z_]{1,60}", reason):
        return Finding("Slack", "its address answers with something else", _OTHER_SERVER)
    if reason in fixes:
        return Finding(variable, f"Slack refuses it ({reason})", fixes[reason])
    return Finding(variable, f"Slack could not check it ({reason})", _LATER)


def _find_app(client: WebClient, bot_id: str) -> str | None:
    try:
        bot: Mapping[str, Any] = client.bots_info(bot=bot_id).get("bot") or {}
    except (SlackApiError, OSError):
        return None  # a missing scope, which the check of scopes reports
    return str(bot["app_id"]) if bot.get("app_id") else None


def _get_header(headers: Mapping[str, Any], name: str) -> str:
    found = next((value for key, value in headers.items() if key.lower() == name), "")
    return str(found[0] if isinstance(found, list) else found)


def _check_clock(headers: Mapping[str, Any], now: datetime) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(_get_header(headers, "date"))
    except (ValueError, TypeError):
        return
    apart = abs((now - theirs).total_seconds())
    if apart > MAX_CLOCK_SKEW_S:
        fix = (
            "Have the clock of the database's machine set over the network (NTP): digests are told by it, and in HTTP"
            " mode Slack's requests are refused till then."
        )
        yield Finding("clock", f"the database's is {apart:.0f} s away from Slack's", fix)
    else:
        yield Finding("clock", "the database's agrees with Slack's")


def _check_scopes(headers: Mapping[str, Any]) -> Iterator[Finding]:
    if "x-oauth-scopes" not in {name.lower() for name in headers}:
        # Slack always names them; another server that speaks its language may not.
        yield Finding("scopes", f"not told by the server at SLACK_API_URL; the bot needs {len(SCOPES)}")
        return
    granted = {scope.strip() for scope in _get_header(headers, "x-oauth-scopes").split(",") if scope.strip()}
    missing = sorted(SCOPES.keys() - granted)
    if missing:
        used_for = "; ".join(f"{scope} for {', '.join(SCOPES[scope])}" for scope in missing)
        fix = (
            f"Paste what `{PROGRAM} manifest` prints into the app's page “App Manifest”, and install the app"
            " again on “OAuth & Permissions”; its token stays."
        )
        yield Finding("scopes", f"missing: {used_for}", fix)
    else:
        yield Finding("scopes", f"all {len(SCOPES)} granted")


def _check_app_token(settings: Settings, app_id: str | None) -> Iterator[Finding]:
    """Whether Socket Mode can be used. `app_id` is the app of the bot token, if known."""
    if settings.slack_app_token is None:
        return
    token = settings.slack_app_token.get_secret_value()
    # An app-level token names its app: xapp-1-A…-…; a connection opens for any app.
    named = re.match(r"xapp-\d+-(A[A-Z0-9]+)-", token)
    if named and app_id and named[1] != app_id:
        yield Finding(
            "SLACK_APP_TOKEN",
            f"it is of the app {named[1]}, and SLACK_BOT_TOKEN of {app_id}",
            "Take both from the same app; what people do would reach another one.",
        )
        return
    try:
        url = str(web_client(settings.slack_api_url).apps_connections_open(app_token=token)["url"])
        greeting = read_greeting(url)
    except SlackApiError as error:
        reasons = ("invalid_auth", "not_authed", "not_allowed_token_type", "missing_scope", "token_revoked")
        yield _refused_finding("SLACK_APP_TOKEN", error, dict.fromkeys((*reasons, "account_inactive"), _COPY_APP_TOKEN))
    except (OSError, WebSocketException) as error:
        yield Finding("Slack", f"its web socket cannot be opened: {get_reason(error)}", _NO_SOCKET)
    else:
        yield _greeting_finding(greeting)


def _greeting_finding(greeting: Mapping[str, Any]) -> Finding:
    """The first message of Slack on a new web socket: hello, or why it disconnects."""
    if greeting.get("type") == "hello":
        return Finding("SLACK_APP_TOKEN", f"opens a connection, {greeting.get('num_connections')} are open")
    reason = str(greeting.get("reason"))
    return Finding(
        "SLACK_APP_TOKEN", f"Slack ends its connections at once ({reason})", _DISCONNECT_FIXES.get(reason, _LATER)
    )


def _check_organization(client: WebClient, store: Store, workspace_id: str, bot: str) -> Iterator[Finding]:
    with store.read() as connection:
        organization = queries.find_organization_setup(connection, workspace_id)
        channels = queries.get_channels(connection, workspace_id)
        usergroups = queries.get_oncall_usergroups(connection, workspace_id)
        team_usergroups = queries.get_team_usergroups(connection, workspace_id)
        emails = queries.list_unmatched_emails(connection, workspace_id)
    if organization is None:
        fix = f"Name {workspace_id} under organization.workspaces in the organization file, and apply it."
        yield Finding("organization", f"the workspace {workspace_id} belongs to none", fix)
        return
    if not organization.incidents:
        fix = "Set organization.incidents to true in the organization file, and apply it."
        yield Finding("organization", f"incidents are switched off for {organization.name}", fix)
    elif not organization.members:
        fix = "Add them under members in the organization file, and apply it."
        yield Finding("organization", f"{organization.name} has no members, so nobody can use the bot", fix)
    else:
        counts = ", ".join(
            f"{count} {name}{'' if count == 1 else 's'}"
            for count, name in ((organization.members, "member"), (organization.projects, "project"))
        )
        yield Finding("organization", f"{organization.name}, {counts}")
    yield from _check_members(client, workspace_id, emails)
    for channel_id, projects in channels.items():
        yield _check_channel(client, channel_id, projects, bot, shared_allowed=organization.shared_channels)
    for usergroup, teams in usergroups.items():
        yield _check_usergroup(client, usergroup, teams)
    if team_usergroups:
        yield from _check_team_usergroups(client, team_usergroups)


def _check_team_usergroups(client: WebClient, usergroups: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Whether the user groups by which people mention the teams are there."""
    what = "user groups"
    try:
        groups = client.usergroups_list(include_disabled=True).get("usergroups") or []
    except SlackApiError as error:
        reason = error.response.get("error")
        fix = "See scopes, above." if reason == "missing_scope" else _LATER
        yield Finding(what, f"Slack could not list them ({reason})", fix)
        return
    except OSError as error:
        yield Finding(what, f"Slack cannot be reached: {get_reason(error)}", _NOT_REACHED)
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


def _check_usergroup(client: WebClient, usergroup: str, teams: list[str]) -> Finding:
    """Whether the user group of who is on call for these teams can be read, and has somebody in it."""
    of = ", ".join(teams)
    what = f"user group {usergroup}, on call for {of}"
    try:
        people = client.usergroups_users_list(usergroup=usergroup).get("users") or []
    except SlackApiError as error:
        reason = error.response.get("error")
        if reason == "missing_scope":
            return Finding(what, "cannot be looked at for want of a scope", "See scopes, above.")
        if reason not in NO_SUCH_USERGROUP:
            return Finding(what, f"Slack could not look it up ({reason})", _LATER)
        fix = f"Enable it in Slack, or name another as oncall_usergroup of {of} in the organization file."
        return Finding(what, "Slack has no such user group, or it is disabled: nobody is on call", fix)
    except OSError as error:
        return Finding(what, f"Slack cannot be reached: {get_reason(error)}", _NOT_REACHED)
    if not people:
        return Finding(what, "nobody is in it, so nobody is called", "Add who is on call to it in Slack.")
    return Finding(what, f"{len(people)} {'person' if len(people) == 1 else 'people'} on call")


def _check_members(client: WebClient, workspace_id: str, emails: Sequence[str]) -> Iterator[Finding]:
    """Whether members with only an e-mail can be matched by it. Members who have used the bot are matched already."""
    try:
        found = check_members(client, workspace_id, emails)
    except SlackApiError as error:
        reason = error.response.get("error")
        fix = "See scopes, above." if reason == "missing_scope" else _LATER
        yield Finding("members", f"Slack could not look them up ({reason})", fix)
        return
    except OSError as error:
        yield Finding("members", f"Slack cannot be reached: {get_reason(error)}", _NOT_REACHED)
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
    client: WebClient, channel_id: str, projects: list[str], bot: str, *, shared_allowed: bool
) -> Finding:
    of = ", ".join(projects)
    elsewhere = f"name another under projects.channels of {of} in the organization file and apply it."
    what = f"channel {channel_id} of {of}"
    try:
        channel: Mapping[str, Any] = client.conversations_info(channel=channel_id)["channel"]
    except SlackApiError as error:
        reason = error.response.get("error")
        if reason == "missing_scope":
            return Finding(what, "cannot be looked at for want of a scope", "See scopes, above.")
        if reason != "channel_not_found":
            return Finding(what, f"Slack could not look it up ({reason})", _LATER)
        fix = f"If it is private, say `/invite @{bot}` in it; if it is gone, {elsewhere}"
        return Finding(what, "the bot cannot find it: private without the bot in it, or gone", fix)
    except OSError as error:
        return Finding(what, f"Slack cannot be reached: {get_reason(error)}", _NOT_REACHED)
    what = f"channel #{channel.get('name', channel_id)} of {of}"
    if channel.get("is_archived"):
        return Finding(what, "it is archived", f"Unarchive it, or {elsewhere}")
    if (channel.get("is_ext_shared") or channel.get("is_pending_ext_shared")) and not shared_allowed:
        fix = f"If that company may read along, set organization.shared_channels to true; if not, {elsewhere}"
        return Finding(what, "it is shared with another company, so no cards go there", fix)
    if not channel.get("is_member"):
        fix = f"Say `/invite @{bot}` in it."
        return Finding(what, "the bot is not in it, and hears no replies and reactions there", fix)
    return Finding(what, "the bot is in it")
