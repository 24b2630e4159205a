"""`doctor`: looks at everything the bot depends on, a line each, and says how to mend what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from websockets.exceptions import WebSocketException

from bot.database import open_database
from bot.delivery.api_calls import UNREACHABLE_ERRORS
from bot.delivery.destination_checks import NO_SUCH_PERSON
from bot.delivery.rendering import SHARED
from bot.intake.connections import shortage_of_files
from bot.intake.tokens import SecretBox, SecretUnreadable
from bot.people.roll_call import call_roll
from bot.settings import Mode, Settings
from bot.slack.clients import web_client
from bot.slack.connections import greeting_of
from bot.slack.manifest import SCOPES
from storage import preflight
from storage.clock import Clock
from storage.engine import Store
from storage.errors import DatabaseAway, DatabaseUnfit, EmbeddedPostgresError, ReadOnlyServer
from storage.migrate import revisions
from storage.queries import delivery_failures, pacing, posts
from storage.queries import doctor as queries

# The bot refuses Slack's requests over HTTP when they are five minutes apart.
MAX_CLOCK_SKEW_S = 60
# A large organization has more channels than Slack answers questions in a minute; it says how long to wait.
_PATIENCE = 5  # times

_OAUTH_PAGE = "the app's page “OAuth & Permissions”"
_COPY_BOT_TOKEN = f"Copy the Bot User OAuth Token (xoxb-…) from {_OAUTH_PAGE} into SLACK_BOT_TOKEN, and start again."
# What to do about each of Slack's reasons for refusing the bot token.
_BOT_TOKEN_MENDS = {
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
# What concerns one conversation, whose mend is known. Any other reason may be anything that Slack thinks of.
_OF_CONVERSATIONS = UNREACHABLE_ERRORS | {SHARED, NO_SUCH_PERSON}
_REFUSED_MEND = (
    "Slack's reference of chat.postMessage says what that means: mostly a scope is missing, or an administrator has"
    " restricted who may post. Each message is tried again for an hour."
)
_GIVEN_UP_MEND = "See the log for when. Once Slack takes messages again, nothing is to be done; those are lost."
_GIVEN_UP_SHOWN_FOR = timedelta(days=1)
_NO_SOCKET = "Check that a proxy or firewall on the way lets web sockets (wss) through."
_DISCONNECT_MENDS = {
    "too_many_websockets": "An app may have ten: run fewer replicas or workers of it, or use HTTP mode.",
    "link_disabled": "Switch Socket Mode on, on the app's page “Socket Mode”.",
}
_LATER = "That is not the token's fault: try again in a minute, and see status.slack.com if it stays."


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
        return f"FAULT  {self.what}: {self.says}{'' if self.says.endswith('?') else '.'} {self.mend}"


def mistaken(sentence: str) -> Finding:
    """What is wrong with a setting; without it nothing else can be looked at."""
    return Finding("settings", sentence.rstrip("."), "Mend it in the environment or in .env, and run doctor again.")


def examine(settings: Settings, report: Callable[[Finding], None]) -> bool:
    """Looks at everything, reporting as it goes; whether all of it is as it should be."""
    sound = True
    for finding in _everything(settings):
        sound = sound and finding.mend is None
        report(finding)
    return sound


def _everything(settings: Settings) -> Iterator[Finding]:
    yield _settings(settings)
    if shortage := shortage_of_files():
        yield Finding("open files", *shortage)
    try:
        with open_database(settings) as url:
            if settings.database_url is not None:
                preflight.check(url)
            store = Store.open(url)
            try:
                yield _database(store)
                schema = _schema(store)
                yield schema
                if schema.mend is None:
                    yield _intake(settings, store)
                    yield from _refusals(store)
                    yield from _delivery(store)
                yield from _slack(settings, store if schema.mend is None else None, store.clock)
                return
            finally:
                store.close()
    except DatabaseUnfit as error:
        yield Finding("database", str(error), "Then run doctor again.")
    except (DatabaseAway, EmbeddedPostgresError) as error:
        where = "DATABASE_URL" if settings.database_url else "TOCSIN_DATA_DIR"
        mend = f"Check {where}, that the server runs, and that this machine may reach it."
        yield Finding("database", f"cannot be used: {_reason(error)}", mend)
    yield from _slack(settings, None, None)


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    said = str(getattr(cause, "orig", None) or cause).strip() or "no answer"
    return said.splitlines()[0].rstrip(".")


def _settings(settings: Settings) -> Finding:
    if settings.mode is Mode.NONE:
        return Finding(
            "settings",
            f"not set: {' and '.join(settings.missing)}",
            "Create the Slack app from `python run_bot.py manifest`, and put its tokens into the environment or .env.",
        )
    return Finding("settings", "Socket Mode" if settings.mode is Mode.SOCKET else "HTTP mode")


def _database(store: Store) -> Finding:
    with store.read() as connection:
        server = queries.server(connection)
    try:
        store.ensure_writable()
    except ReadOnlyServer:
        return Finding(
            "database",
            f"{server}, which is read-only: a standby, or default_transaction_read_only is on there",
            "Have DATABASE_URL name the primary.",
        )
    return Finding("database", server)


def _schema(store: Store) -> Finding:
    found, wanted, known = revisions(store)
    if found == wanted:
        return Finding("schema", f"at {found}")
    if found is not None and not known:
        return Finding("schema", f"at {found}, which a later version made; this one works on it")
    behind = f"at {found}, and {wanted} is needed" if found else "the database is empty"
    return Finding("schema", behind, "Run `python run_bot.py migrate`; `serve` does it too when it starts.")


def _intake(settings: Settings, store: Store) -> Finding:
    with store.read() as connection:
        tokens = queries.intake_tokens(connection)
        sealed = queries.sealed_secrets(connection)
    if sealed and settings.secret_key is None:
        return Finding(
            "intake",
            f"{_tokens(len(sealed))} of Sentry cannot be used: TOCSIN_SECRET_KEY is not set",
            "Set it to the key with which they were created.",
        )
    if sealed and settings.secret_key is not None:
        unreadable = _unreadable(SecretBox(settings.secret_key.get_secret_value()), sealed)
        if unreadable:
            ids = ", ".join(map(str, unreadable))
            return Finding(
                "intake",
                f"{_tokens(len(unreadable))} of Sentry cannot be used: made with another TOCSIN_SECRET_KEY (ID {ids})",
                "Set TOCSIN_SECRET_KEY to that key again, or revoke them and create new ones.",
            )
    if not tokens:
        return Finding("intake", "no alerting system can post yet; `python run_bot.py token create` makes a token")
    return Finding("intake", "tokens for " + ", ".join(f"{source} ({n})" for source, n in sorted(tokens.items())))


def _refusals(store: Store) -> Iterator[Finding]:
    with store.read() as connection:
        refused = queries.refused_tokens(connection)
    for token in refused:
        when = token.when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        yield Finding(
            "intake",
            f"the last delivery with token {token.id} ({token.source}) was refused at {when}: {token.why}",
            "Mend what that system sends; docs/alerts.md says what is needed. The next good delivery clears this.",
        )


def _tokens(number: int) -> str:
    return "1 token" if number == 1 else f"{number} tokens"


def _unreadable(box: SecretBox, sealed: Mapping[int, str]) -> list[int]:
    found = []
    for token_id, secret in sealed.items():
        try:
            box.open(secret)
        except SecretUnreadable:
            found.append(token_id)
    return found


def _delivery(store: Store) -> Iterator[Finding]:
    """What cannot be sent, as far as it is known without asking Slack; its channels are asked about below."""
    with store.read() as connection:
        paused = pacing.paused_workspaces(connection, store.clock.now())
        troubles = [trouble for trouble in delivery_failures.troubles(connection) if trouble.reason is not None]
        waiting = posts.waiting_count(connection)
        given_up = posts.given_up_since(connection, store.clock.now() - _GIVEN_UP_SHOWN_FOR)
    for workspace_id, (reason, _) in paused.items():
        mend = "Nothing is lost: what waits is sent once SLACK_BOT_TOKEN is good again."
        yield Finding("delivery", f"paused for {workspace_id}, Slack says {reason}; {waiting} messages wait", mend)
    for trouble in troubles:
        if trouble.channel_id is not None:
            whom = f"channel #{trouble.channel_name}" if trouble.channel_name else f"channel {trouble.channel_id}"
            mend = "What to do about that channel stands below; it is tried again with the next change."
        else:
            whom = trouble.member or "somebody who is no member"
            mend = "Look at that person's account in Slack, or take them out of the organization file."
        if trouble.reason not in _OF_CONVERSATIONS:
            mend = _REFUSED_MEND
        yield Finding("delivery", f"messages to {whom} cannot arrive ({trouble.reason})", mend)
    for reason, count in given_up.items():
        if reason not in _OF_CONVERSATIONS:
            messages = "1 message was" if count == 1 else f"{count} messages were"
            yield Finding("delivery", f"{messages} given up since yesterday ({reason})", _GIVEN_UP_MEND)
    if not paused and not troubles and not given_up:
        yield Finding("delivery", f"{waiting} messages wait to be sent" if waiting else "nothing waits to be sent")


# --- Slack -------------------------------------------------------------------------------------------------


def _slack(settings: Settings, store: Store | None, clock: Clock | None) -> Iterator[Finding]:
    if settings.slack_bot_token is None:
        yield from _app_token(settings, None)
        return
    client = web_client(settings.slack_api_url, settings.slack_bot_token.get_secret_value(), tries=_PATIENCE)
    try:
        answer = client.auth_test()
    except SlackApiError as error:
        refused = _refused("SLACK_BOT_TOKEN", error, _BOT_TOKEN_MENDS)
        yield refused
        if refused.mend in _BOT_TOKEN_MENDS.values():
            yield from _app_token(settings, None)
        return
    except OSError as error:
        yield Finding("Slack", f"cannot be reached: {_reason(error)}", _NOT_REACHED)
        return
    workspace_id = str(answer["team_id"])
    if not answer.get("bot_id"):
        yield Finding("SLACK_BOT_TOKEN", f"it is a person's ({answer.get('user')}), not a bot's", _COPY_BOT_TOKEN)
        return
    yield Finding("SLACK_BOT_TOKEN", f"bot {answer.get('user')} in {answer.get('team')} ({workspace_id})")
    if clock is not None:
        yield from _clock(answer.headers, clock.now())
    yield from _scopes(answer.headers)
    yield from _app_token(settings, _app_of(client, str(answer["bot_id"])))
    if store is not None:
        yield from _organization(client, store, workspace_id, str(answer.get("user")))


def _refused(variable: str, error: SlackApiError, mends: Mapping[str, str]) -> Finding:
    reason = str(error.response.get("error"))
    if not re.fullmatch(r"[a-z_]{1,60}", reason):
        return Finding("Slack", "its address answers with something else", _OTHER_SERVER)
    if reason in mends:
        return Finding(variable, f"Slack refuses it ({reason})", mends[reason])
    return Finding(variable, f"Slack could not check it ({reason})", _LATER)


def _app_of(client: WebClient, bot_id: str) -> str | None:
    try:
        bot: Mapping[str, Any] = client.bots_info(bot=bot_id).get("bot") or {}
    except (SlackApiError, OSError):
        return None  # a missing scope, which is told where scopes are
    return str(bot["app_id"]) if bot.get("app_id") else None


def _header(headers: Mapping[str, Any], name: str) -> str:
    found = next((value for key, value in headers.items() if key.lower() == name), "")
    return str(found[0] if isinstance(found, list) else found)


def _clock(headers: Mapping[str, Any], now: datetime) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(_header(headers, "date"))
    except (ValueError, TypeError):
        return
    apart = abs((now - theirs).total_seconds())
    if apart > MAX_CLOCK_SKEW_S:
        mend = (
            "Have the clock of the database's machine set over the network (NTP): digests are told by it, and in HTTP"
            " mode Slack's requests are refused till then."
        )
        yield Finding("clock", f"the database's is {apart:.0f} s away from Slack's", mend)
    else:
        yield Finding("clock", "the database's agrees with Slack's")


def _scopes(headers: Mapping[str, Any]) -> Iterator[Finding]:
    if "x-oauth-scopes" not in {name.lower() for name in headers}:
        # Slack always names them; another server that speaks its language may not.
        yield Finding("scopes", f"not told by the server at SLACK_API_URL; the bot needs {len(SCOPES)}")
        return
    granted = {scope.strip() for scope in _header(headers, "x-oauth-scopes").split(",") if scope.strip()}
    missing = sorted(SCOPES.keys() - granted)
    if missing:
        used_for = "; ".join(f"{scope} for {', '.join(SCOPES[scope])}" for scope in missing)
        mend = (
            "Paste what `python run_bot.py manifest` prints into the app's page “App Manifest”, and install the app"
            " again on “OAuth & Permissions”; its token stays."
        )
        yield Finding("scopes", f"missing: {used_for}", mend)
    else:
        yield Finding("scopes", f"all {len(SCOPES)} granted")


def _app_token(settings: Settings, app_id: str | None) -> Iterator[Finding]:
    """Whether Socket Mode can be used; `app_id` is the app of the bot token, where that is known."""
    if settings.slack_app_token is None:
        return
    token = settings.slack_app_token.get_secret_value()
    # An app-level token names its app: xapp-1-A…-…; a connection opens for whatever app it is.
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
        greeting = greeting_of(url)
    except SlackApiError as error:
        reasons = ("invalid_auth", "not_authed", "not_allowed_token_type", "missing_scope", "token_revoked")
        yield _refused("SLACK_APP_TOKEN", error, dict.fromkeys((*reasons, "account_inactive"), _COPY_APP_TOKEN))
    except (OSError, WebSocketException) as error:
        yield Finding("Slack", f"its web socket cannot be opened: {_reason(error)}", _NO_SOCKET)
    else:
        yield _greeted(greeting)


def _greeted(greeting: Mapping[str, Any]) -> Finding:
    """What Slack said first over a new web socket: hello, or why it wants none."""
    if greeting.get("type") == "hello":
        return Finding("SLACK_APP_TOKEN", f"opens a connection, {greeting.get('num_connections')} are open")
    reason = str(greeting.get("reason"))
    return Finding(
        "SLACK_APP_TOKEN", f"Slack ends its connections at once ({reason})", _DISCONNECT_MENDS.get(reason, _LATER)
    )


def _organization(client: WebClient, store: Store, workspace_id: str, bot: str) -> Iterator[Finding]:
    with store.read() as connection:
        organization = queries.organization_of(connection, workspace_id)
        channels = queries.channels_of(connection, workspace_id)
        emails = queries.members_by_email(connection, workspace_id)
    if organization is None:
        mend = f"Name {workspace_id} under organization.workspaces in the organization file, and apply it."
        yield Finding("organization", f"the workspace {workspace_id} belongs to none", mend)
        return
    if not organization.incidents:
        mend = "Set organization.incidents to true in the organization file, and apply it."
        yield Finding("organization", f"incidents are switched off for {organization.name}", mend)
    elif not organization.members:
        mend = "Add them under members in the organization file, and apply it."
        yield Finding("organization", f"{organization.name} has no members, so nobody can use the bot", mend)
    else:
        counts = f"{organization.members} members, {organization.projects} projects"
        yield Finding("organization", f"{organization.name}, {counts}")
    yield from _members(client, workspace_id, emails)
    for channel_id, projects in channels.items():
        yield _channel(client, channel_id, projects, bot, shared_allowed=organization.shared_channels)


def _members(client: WebClient, workspace_id: str, emails: Sequence[str]) -> Iterator[Finding]:
    """Whether those who are named by e-mail alone can be known by it. Who has used the bot already is."""
    try:
        found = call_roll(client, workspace_id, emails)
    except SlackApiError as error:
        reason = error.response.get("error")
        mend = "See scopes, above." if reason == "missing_scope" else _LATER
        yield Finding("members", f"Slack could not look them up ({reason})", mend)
        return
    except OSError as error:
        yield Finding("members", f"Slack cannot be reached: {_reason(error)}", _NOT_REACHED)
        return
    if found.unmatched:
        mend = f"Write their Slack ids into the organization file (`slack: {next(iter(found.unmatched))}`), apply it."
        are = "1 is" if len(found.unmatched) == 1 else f"{len(found.unmatched)} are"
        yield Finding("members", f"{are} not let in by their e-mail: {', '.join(found.unmatched.values())}", mend)
    says = []
    if found.absent:
        says.append(f"{found.absent} {'has' if found.absent == 1 else 'have'} no account in this workspace")
    if found.not_asked:
        says.append(f"{found.not_asked} more were not looked at")
    if says or not found.unmatched:
        yield Finding("members", "; ".join(says) or "all are known by their Slack id or e-mail")


def _channel(client: WebClient, channel_id: str, projects: list[str], bot: str, *, shared_allowed: bool) -> Finding:
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
        mend = f"If it is private, say `/invite @{bot}` in it; if it is gone, {elsewhere}"
        return Finding(what, "the bot cannot find it: private without the bot in it, or gone", mend)
    except OSError as error:
        return Finding(what, f"Slack cannot be reached: {_reason(error)}", _NOT_REACHED)
    what = f"channel #{channel.get('name', channel_id)} of {of}"
    if channel.get("is_archived"):
        return Finding(what, "it is archived", f"Unarchive it, or {elsewhere}")
    if (channel.get("is_ext_shared") or channel.get("is_pending_ext_shared")) and not shared_allowed:
        mend = f"If that company may read along, set organization.shared_channels to true; if not, {elsewhere}"
        return Finding(what, "it is shared with another company, so no cards go there", mend)
    if not channel.get("is_member"):
        mend = f"Say `/invite @{bot}` in it."
        return Finding(what, "the bot is not in it, and hears no replies and reactions there", mend)
    return Finding(what, "the bot is in it")
