"""Prepares a database that was restored from a backup, and says what it cannot know. The command is `after-restore`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from psycopg2.errors import InsufficientPrivilege
from slack_sdk.errors import SlackApiError
from sqlalchemy import exc

from bot.delivery.message_metadata import find_message_id
from bot.digests.schedule import parse_cron
from bot.installations.registry import InstallationRegistry
from bot.installations.tokens import ENTERPRISE, TokenStore
from bot.settings import Settings
from bot.slack.backoff import reason_of
from bot.slack.clients import Clients, Installation, web_client
from storage.audit_rows import Actor, AuditAction, AuditChange
from storage.engine import Store
from storage.errors import DatabaseUnfit
from storage.queries import audit
from storage.queries import restoration as queries
from storage.queries.restoration import RestoredChannel
from storage.queries.tokens import get_organization_slugs

_CALL_TIMEOUT_S = 10.0
_TRIES = 3
_PAGE = 100  # messages
_WORKSPACES_AT_ONCE = 8
_LOST = "Messages in Slack about what is lost"


def prepare(settings: Settings, store: Store, actor: Actor) -> list[str]:
    """Prepares the database. Returns what was done and what is not known, as lines for a person.

    The audit log says that `actor` restored it.

    Raises DatabaseUnfit, DatabaseAway.
    """
    with store.read() as connection:
        moment = queries.find_moment(connection)
    if moment is None:
        return ["The database is empty: there is nothing to prepare."]
    try:
        lines = _change(store, moment, actor)
    except exc.ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        reason = str(error.orig).splitlines()[0]
        raise DatabaseUnfit(f"{reason}; run `after-restore` as the owner of the tables") from error
    return [*lines, *_list_lost_messages(settings, store, moment)]


def _change(store: Store, moment: datetime, actor: Actor) -> list[str]:
    """Changes the database in one transaction. Returns what was done, for the person."""
    now = store.clock.now()
    lines = [f"The backup ends at {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC. What happened later is lost here."]
    with store.write() as tx:
        unsent = queries.search_unsent_posts(tx, now)
        lines.append(f"Messages not sent yet: {unsent}. Each is looked for in Slack, and sent only if it is missing.")
        if titles := queries.drop_unexpanded_changes(tx):
            lines.append(f"Changes not announced, because Slack may have them already: {', '.join(titles)}.")
        pending = queries.list_pending_digests(tx, now)
        for digest in pending:
            following = parse_cron(digest.cron).next(now, ZoneInfo(digest.zone))
            queries.postpone_digest(tx, digest.id, following)
        missed = len(pending) + queries.end_unrendered_fires(tx)
        lines.append(f"Digests due since then: {missed}. They are not sent; the next ones come at their times.")
        for slug, number in queries.skip_numbers(tx):
            lines.append(f"The next incident of {slug} is #{number}: Slack may show others with the numbers before.")
        still_open = queries.count_open_incidents(tx)
        change = AuditChange(AuditAction.DATA_RESTORE, after={"backup_ended": moment.astimezone(UTC).isoformat()})
        for organization_id in get_organization_slugs(tx).values():
            audit.record(tx, organization_id, actor, [change], now)
    lines.append(
        f"Open incidents: {still_open}. Not known: who has acknowledged, taken or resolved them since then, and which"
        " alerts have ended. Calls that are due are made."
    )
    return lines


def _list_lost_messages(settings: Settings, store: Store, moment: datetime) -> Iterator[str]:
    """Says which channels of which workspaces have messages about what is lost."""
    clients = Clients()
    if settings.slack_bot_token is not None:
        try:
            clients = Clients.connect(settings.slack_bot_token.get_secret_value(), settings.slack_api_url)
        except (SlackApiError, OSError) as error:
            yield f"{_LOST}: not known, Slack cannot be asked with SLACK_BOT_TOKEN ({reason_of(error)})."
    if settings.secret_key is not None:
        tokens = TokenStore(store, settings.secret_key.get_secret_value())
        # Nothing is refreshed here: the credentials of the app are not needed.
        InstallationRegistry(
            store, clients, tokens, api_url=settings.slack_api_url, client_id="", client_secret=""
        ).read()
    installations = sorted(clients.all(), key=lambda one: one.workspace_id)
    if not installations and settings.slack_bot_token is None:
        yield f"{_LOST}: not known, SLACK_BOT_TOKEN is not set and no token of an installation can be used."
    several = len(installations) > 1
    with ThreadPoolExecutor(_WORKSPACES_AT_ONCE) as pool:
        for lines in pool.map(lambda one: list(_search_workspace(settings, store, one, moment)), installations):
            for installation, line in lines:
                where = f"{installation.authorization.team or ''} ({installation.workspace_id}), ".lstrip()
                yield f"{where if several else ''}{line}"


def _search_workspace(
    settings: Settings, store: Store, installation: Installation, moment: datetime
) -> Iterator[tuple[Installation, str]]:
    with store.read() as connection:
        channels = queries.list_channels(connection, [installation.workspace_id])
    for channel in channels:
        name = f"#{channel.name}" if channel.name else channel.channel_id
        try:
            lost = _find_lost_messages(settings.slack_api_url, store, installation, channel, moment)
        except (SlackApiError, OSError) as error:
            yield installation, f"{name}: not known, its messages cannot be read ({reason_of(error)})."
            continue
        if lost:
            first = installation.permalink(channel.channel_id, min(lost))
            yield (
                installation,
                f"{name}: {len(lost)} of the bot's messages are about what is lost, the first is {first}",
            )


def _find_lost_messages(
    api_url: str, store: Store, installation: Installation, channel: RestoredChannel, moment: datetime
) -> list[str]:
    """Returns the ts of the bot's messages since the backup that the database does not know."""
    of_enterprise = (installation.installation_id or "").startswith(ENTERPRISE)
    client = web_client(
        api_url,
        installation.authorization.bot_token,
        timeout_s=_CALL_TIMEOUT_S,
        tries=_TRIES,
        team_id=installation.workspace_id if of_enterprise else None,
    )
    found: dict[str, str] = {}  # ts -> id
    cursor = None
    while True:
        page = client.conversations_history(
            channel=channel.channel_id,
            oldest=f"{moment.timestamp():.6f}",
            include_all_metadata=True,
            limit=_PAGE,
            cursor=cursor,
        )
        for message in page.get("messages") or []:
            if message_id := find_message_id(message, installation):
                found[str(message["ts"])] = message_id
        cursor = (page.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            break
    with store.read() as connection:
        known = queries.find_known_messages(connection, list(found))
    return [ts for ts, message_id in found.items() if message_id not in known]
