"""`doctor`: looks at everything the bot depends on, a line each, and says how to mend what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.database import open_database
from bot.settings import Mode, Settings
from bot.slack.clients import web_client
from bot.slack.manifest import SCOPES
from storage.engine import Store
from storage.errors import DatabaseAway, EmbeddedPostgresError
from storage.migrate import revisions
from storage.queries import doctor as queries

# Slack refuses requests, and the bot Slack's, when the clocks are this far apart.
MAX_CLOCK_SKEW_S = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    says: str
    mend: str | None = None  # how; None: nothing is wrong

    def line(self) -> str:
        """As it is printed."""
        if self.mend is None:
            return f"ok     {self.what}: {self.says}"
        return f"FAULT  {self.what}: {self.says}. {self.mend}"


def examine(settings: Settings, report: Callable[[Finding], None]) -> bool:
    """Looks at everything, reporting as it goes; whether all of it is as it should be."""
    sound = True

    def told(findings: Iterator[Finding]) -> None:
        nonlocal sound
        for finding in findings:
            sound = sound and finding.mend is None
            report(finding)

    told(_settings(settings))
    try:
        with open_database(settings) as url:
            store = Store.open(url)
            try:
                with store.read() as connection:
                    told(iter([Finding("database", queries.server(connection))]))
                told(_schema_and_slack(settings, store, told))
            finally:
                store.close()
    except (DatabaseAway, EmbeddedPostgresError) as error:
        where = "DATABASE_URL" if settings.database_url else "TOCSIN_DATA_DIR"
        mend = f"Check {where}, that the server runs, and that this machine may reach it."
        told(iter([Finding("database", f"cannot be used: {_first_line(error)}", mend)]))
        told(_slack(settings, None))
    return sound


def _first_line(error: BaseException) -> str:
    return (str(error) or str(error.__cause__ or "no answer")).strip().splitlines()[0].rstrip(".")


def _settings(settings: Settings) -> Iterator[Finding]:
    if settings.mode is Mode.NONE:
        yield Finding(
            "settings",
            f"not set: {' and '.join(settings.missing)}",
            "Create the app from `run_bot.py manifest`, and put its tokens into the environment or .env.",
        )
        return
    yield Finding("settings", "Socket Mode" if settings.mode is Mode.SOCKET else "HTTP mode")


def _schema_and_slack(settings: Settings, store: Store, told: Callable[[Iterator[Finding]], None]) -> Iterator[Finding]:
    found, wanted, known = revisions(store)
    if found == wanted:
        yield Finding("schema", f"at {found}")
    elif found is not None and not known:
        yield Finding("schema", f"at {found}, ahead of this program's {wanted}; both work")
    else:
        told(iter([Finding("schema", f"at {found or 'nothing'}, {wanted} is needed", "Run `run_bot.py migrate`.")]))
        yield from _slack(settings, None)
        return
    yield from _intake(settings, store)
    yield from _slack(settings, store)


def _intake(settings: Settings, store: Store) -> Iterator[Finding]:
    with store.read() as connection:
        tokens = queries.intake_tokens(connection)
    sealed = tokens.get("sentry", 0)
    if sealed and settings.secret_key is None:
        yield Finding(
            "intake",
            f"{sealed} Sentry tokens, and TOCSIN_SECRET_KEY is not set",
            "Set it to the key with which they were created.",
        )
    elif not tokens:
        yield Finding("intake", "no token, so no alerting system can post yet; `run_bot.py token create` makes one")
    else:
        yield Finding("intake", "tokens for " + ", ".join(f"{source} ({n})" for source, n in sorted(tokens.items())))


# --- Slack -------------------------------------------------------------------------------------------------


def _slack(settings: Settings, store: Store | None) -> Iterator[Finding]:
    if settings.slack_bot_token is None:
        return
    client = web_client(settings.slack_api_url, settings.slack_bot_token.get_secret_value())
    try:
        answer = client.auth_test()
    except SlackApiError as error:
        reason = error.response.get("error")
        mend = "Take the Bot User OAuth Token (xoxb-…) of the installed app into SLACK_BOT_TOKEN."
        yield Finding("SLACK_BOT_TOKEN", f"Slack refuses it ({reason})", mend)
        return
    except OSError as error:
        mend = "Check SLACK_API_URL, the network, and a proxy on the way."
        yield Finding("Slack", f"cannot be reached: {_first_line(error)}", mend)
        return
    workspace_id = str(answer["team_id"])
    yield Finding("SLACK_BOT_TOKEN", f"bot {answer.get('user')} in {answer.get('team')} ({workspace_id})")
    yield from _clock(answer.headers)
    yield from _scopes(answer.headers)
    yield from _app_token(settings)
    if store is not None:
        yield from _organization(client, store, workspace_id)


def _header(headers: Mapping[str, Any], name: str) -> str:
    found = next((value for key, value in headers.items() if key.lower() == name), "")
    return str(found[0] if isinstance(found, list) else found)


def _clock(headers: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(_header(headers, "date"))
    except (ValueError, TypeError):
        return
    apart = abs((datetime.now(UTC) - theirs).total_seconds())
    if apart > MAX_CLOCK_SKEW_S:
        mend = "Let this machine's clock be set over the network (NTP)."
        yield Finding("clock", f"{apart:.0f} s away from Slack's", mend)
    else:
        yield Finding("clock", "agrees with Slack's")


def _scopes(headers: Mapping[str, Any]) -> Iterator[Finding]:
    granted = {scope.strip() for scope in _header(headers, "x-oauth-scopes").split(",") if scope.strip()}
    missing = sorted(SCOPES.keys() - granted)
    if missing:
        used_for = "; ".join(f"{scope} for {', '.join(SCOPES[scope])}" for scope in missing)
        mend = "Update the app from `run_bot.py manifest` and install it again."
        yield Finding("scopes", f"missing: {used_for}", mend)
    else:
        yield Finding("scopes", f"all {len(SCOPES)} granted")


def _app_token(settings: Settings) -> Iterator[Finding]:
    if settings.slack_app_token is None:
        return
    try:
        web_client(settings.slack_api_url).apps_connections_open(app_token=settings.slack_app_token.get_secret_value())
    except SlackApiError as error:
        mend = "Create an app-level token (xapp-…) with connections:write, and switch Socket Mode on."
        yield Finding("SLACK_APP_TOKEN", f"Slack refuses it ({error.response.get('error')})", mend)
    except OSError as error:
        yield Finding("SLACK_APP_TOKEN", f"Slack cannot be reached: {_first_line(error)}", "Try again.")
    else:
        yield Finding("SLACK_APP_TOKEN", "opens a connection")


def _organization(client: WebClient, store: Store, workspace_id: str) -> Iterator[Finding]:
    with store.read() as connection:
        organization = queries.organization_of(connection, workspace_id)
        channels = queries.channels_of(connection, workspace_id)
    if organization is None:
        mend = f"Name {workspace_id} under organization.workspaces in the organization file, and apply it."
        yield Finding("organization", f"the workspace {workspace_id} belongs to none", mend)
        return
    if not organization.incidents:
        mend = "Set organization.incidents to true in the organization file, and apply it."
        yield Finding("organization", f"incidents are switched off for {organization.name}", mend)
    elif not organization.members:
        yield Finding("organization", f"{organization.name} has no members", "Add them to the organization file.")
    else:
        counts = f"{organization.members} members, {organization.projects} projects"
        yield Finding("organization", f"{organization.name}, {counts}")
    for channel_id, projects in channels.items():
        yield _channel(client, channel_id, projects, shared_allowed=organization.shared_channels)


def _channel(client: WebClient, channel_id: str, projects: list[str], *, shared_allowed: bool) -> Finding:
    what = f"channel {channel_id}"
    of = f"of {', '.join(projects)}"
    in_file = f"Mend projects.channels {of} in the organization file, and apply it."
    try:
        channel: Mapping[str, Any] = client.conversations_info(channel=channel_id)["channel"]
    except SlackApiError as error:
        reason = error.response.get("error")
        if reason == "missing_scope":
            return Finding(what, "cannot be looked up: a scope is missing", "See scopes.")
        mend = f"If it is private, invite the bot there; if it is gone, {in_file[0].lower()}{in_file[1:]}"
        return Finding(what, f"{of}: Slack knows no such channel for this bot ({reason})", mend)
    except OSError as error:
        return Finding(what, f"Slack cannot be reached: {_first_line(error)}", "Try again.")
    what = f"channel #{channel.get('name', channel_id)}"
    if channel.get("is_archived"):
        return Finding(what, f"{of}: it is archived", f"Unarchive it, or: {in_file}")
    if channel.get("is_ext_shared") and not shared_allowed:
        mend = "Set organization.shared_channels to true if that company may see them, or name another channel."
        return Finding(what, f"{of}: it is shared with another company, so no cards go there", mend)
    if not channel.get("is_member"):
        mend = f"Say `/invite @{client.auth_test().get('user')}` there."
        if channel.get("is_private"):
            return Finding(what, f"{of}: the bot is not in this private channel", mend)
        return Finding(what, f"{of}: the bot is not in it and hears no replies there", mend)
    return Finding(what, of)
