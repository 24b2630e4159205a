"""The checks of `doctor` of the Slack app in the environment: tokens, scopes, web socket."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from websockets.exceptions import WebSocketException

from bot.doctor.finding import LATER, NOT_REACHED, TRIES, Finding, get_reason
from bot.doctor.workspaces import CheckedWorkspace
from bot.program import PROGRAM
from bot.settings import Settings
from bot.slack.clients import web_client
from bot.slack.connections import read_greeting
from bot.slack.manifest import SCOPES
from storage.clock import Clock

# The bot refuses Slack's requests over HTTP when they are five minutes apart.
MAX_CLOCK_SKEW_S = 60

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
_NO_SOCKET = "Check that a proxy or firewall on the way lets web sockets (wss) through."
_DISCONNECT_FIXES = {
    "too_many_websockets": "An app may have ten: run fewer replicas or workers of it, or use HTTP mode.",
    "link_disabled": "Switch Socket Mode on, on the app's page “Socket Mode”.",
}


def check_slack(settings: Settings, clock: Clock | None) -> Generator[Finding, None, CheckedWorkspace | None]:
    """Checks the tokens. Returns the workspace of SLACK_BOT_TOKEN if the bot can work there.

    `clock` is None if the database cannot be used.
    """
    if settings.slack_bot_token is None:
        yield from _check_app_token(settings, None)
        return None
    client = web_client(settings.slack_api_url, settings.slack_bot_token.get_secret_value(), tries=TRIES)
    try:
        answer = client.auth_test()
    except SlackApiError as error:
        refused = _refused_finding("SLACK_BOT_TOKEN", error, _BOT_TOKEN_FIXES)
        yield refused
        if refused.fix in _BOT_TOKEN_FIXES.values():
            yield from _check_app_token(settings, None)
        return None
    except OSError as error:
        yield Finding("Slack", f"cannot be reached: {get_reason(error)}", NOT_REACHED)
        return None
    workspace_id = str(answer["team_id"])
    if not answer.get("bot_id"):
        yield Finding("SLACK_BOT_TOKEN", f"it is a person's ({answer.get('user')}), not a bot's", _COPY_BOT_TOKEN)
        return None
    yield Finding("SLACK_BOT_TOKEN", f"bot {answer.get('user')}")
    yield Finding("workspace", f"{answer.get('team')}, id {workspace_id}")
    if clock is not None:
        yield from _check_clock(answer.headers, clock.now())
    yield from _check_scopes(answer.headers)
    yield from _check_app_token(settings, _find_app(client, str(answer["bot_id"])))
    return CheckedWorkspace(workspace_id, str(answer.get("team") or ""), client, str(answer.get("user")))


def _refused_finding(variable: str, error: SlackApiError, fixes: Mapping[str, str]) -> Finding:
    reason = str(error.response.get("error"))
    if not re.fullmatch(r"[a-z_]{1,60}", reason):
        return Finding("Slack", "its address answers with something else", _OTHER_SERVER)
    if reason in fixes:
        return Finding(variable, f"Slack refuses it ({reason})", fixes[reason])
    return Finding(variable, f"Slack could not check it ({reason})", LATER)


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
        "SLACK_APP_TOKEN", f"Slack ends its connections at once ({reason})", _DISCONNECT_FIXES.get(reason, LATER)
    )
