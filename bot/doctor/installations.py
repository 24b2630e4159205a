"""The checks of `doctor` of installations by OAuth: tokens, permissions, and workspaces of no organization."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

from slack_sdk.errors import SlackApiError

from bot.doctor.finding import TRIES, Finding, get_reason
from bot.doctor.workspaces import CheckedWorkspace
from bot.installations.service import ACCESS_REVOKED
from bot.installations.tokens import UNINSTALLED, TokenStore
from bot.secret_box import SecretUnreadable
from bot.settings import Settings
from bot.slack.clients import web_client
from bot.slack.manifest import INSTALL_PATH, SCOPES
from storage.engine import Store
from storage.installation_rows import InstallationRow
from storage.queries import installations as queries
from storage.queries import workspaces as workspace_queries

# Why a workspace is paused where the app was removed from it.
REMOVED = frozenset({UNINSTALLED, "tokens_revoked", ACCESS_REVOKED, "token_expired"})
_AGAIN = f"Install the app there again, at {INSTALL_PATH}."
_AT_ONCE = 8  # calls of Slack
_MOST = 20  # installations that are checked in Slack, one by one


def check_installations(settings: Settings, store: Store) -> Generator[Finding, None, list[CheckedWorkspace]]:
    """Whether the tokens of the installations can be used and grant what the bot needs.

    Returns the workspaces of organizations in which they can.
    """
    with store.read() as connection:
        rows = [row for row in queries.get_installations(connection) if row.date_ended is None]
        connected = workspace_queries.find_organizations_of(connection, [one for row in rows for one in row.workspaces])
    if not rows:
        if settings.names_client:
            yield Finding("installations", f"none yet; {INSTALL_PATH} is where one begins")
        return []
    if settings.secret_key is None:
        fix = "Set it to the key with which the tokens were encrypted."
        yield Finding("installations", f"{len(rows)} cannot be used: TOCSIN_SECRET_KEY is not set", fix)
        return []
    tokens = TokenStore(store, settings.secret_key.get_secret_value())
    sound: list[CheckedWorkspace] = []
    faults = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for found in pool.map(lambda row: _check_installation(settings, tokens, row), rows[:_MOST]):
            if isinstance(found, Finding):
                faults += 1
                yield found
            else:
                sound += [one for one in found if one.id in connected]
    waiting = sorted({one for row in rows for one in row.workspaces} - connected.keys())
    if waiting:
        shown = ", ".join(waiting[:_MOST])
        yield Finding("installations", f"not connected to an organization: {shown}; an owner does that, or `apply`")
    if not faults:
        workspaces = "1 workspace" if len(connected) == 1 else f"{len(connected)} workspaces"
        yield Finding("installations", f"{len(rows)}, with {workspaces} of organizations")
    if len(rows) > _MOST:
        yield Finding("installations", f"{len(rows) - _MOST} more were not looked at")
    return sound


def _check_installation(
    settings: Settings, tokens: TokenStore, row: InstallationRow
) -> Finding | list[CheckedWorkspace]:
    """The workspaces of an installation, or what is wrong with it."""
    what = f"installation in {row.name or row.id} ({row.id})"
    try:
        opened = tokens.open_tokens(row)
    except SecretUnreadable:
        fix = "Add the key with which it was encrypted to TOCSIN_SECRET_KEY, behind a comma."
        return Finding(what, "its token was encrypted with another TOCSIN_SECRET_KEY", fix)
    token = opened.token if opened else None
    missing = sorted(SCOPES.keys() - set(row.scopes.split(",")))
    if missing:
        return Finding(what, f"permissions are missing: {', '.join(missing)}", _AGAIN)
    try:
        answer = web_client(settings.slack_api_url, token, tries=2).auth_test()
    except SlackApiError as error:
        return Finding(what, f"Slack refuses its token ({error.response.get('error')})", _AGAIN)
    except OSError as error:
        return Finding(what, f"Slack cannot be reached: {get_reason(error)}", "Check SLACK_API_URL and the network.")
    return [
        CheckedWorkspace(
            workspace_id,
            row.name or "",
            web_client(settings.slack_api_url, token, tries=TRIES, team_id=workspace_id if row.of_enterprise else None),
            str(answer.get("user")),
        )
        for workspace_id in row.workspaces
    ]
