"""`doctor`: checks everything that the bot depends on, and says how to fix what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, timedelta
from functools import partial

from bot.alertmanager.client import AlertmanagerAway, AlertmanagerClient
from bot.cells.directory import DEFAULT
from bot.database import open_database
from bot.delivery.api_calls import UNREACHABLE_ERRORS
from bot.delivery.destination_checks import NO_SUCH_PERSON
from bot.delivery.rendering import SHARED
from bot.doctor.cells import check_addresses, check_cell
from bot.doctor.database import check_lag, check_processes, check_session
from bot.doctor.finding import Finding, get_reason
from bot.doctor.installations import REMOVED, check_installations
from bot.doctor.slack import check_slack
from bot.doctor.workspaces import CheckedWorkspace, check_workspaces
from bot.installations.workspaces import DISCONNECTED
from bot.intake.connections import find_file_shortage
from bot.program import PROGRAM
from bot.secret_box import SecretBox, SecretUnreadable
from bot.settings import Mode, Settings
from storage import preflight
from storage.engine import Store
from storage.errors import DatabaseAway, DatabaseUnfit, EmbeddedPostgresError, ReadOnlyServer
from storage.migrate import get_revisions
from storage.queries import cells, delivery_failures, leases, pacing, posts
from storage.queries import doctor as queries
from storage.queries.cells import Held
from storage.queries.moving import PAUSED
from storage.session_settings import IN_TRANSACTION_MODE, Pooling
from storage.url import describe_server

# Errors that concern one conversation and have a known fix. Slack may return any other.
_OF_CONVERSATIONS = UNREACHABLE_ERRORS | {SHARED, NO_SUCH_PERSON}
_REFUSED_FIX = (
    "Slack's reference of chat.postMessage says what that means: mostly a scope is missing, or an administrator has"
    " restricted who may post. Each message is tried again for an hour."
)
_GIVEN_UP_FIX = "See the log for when. Once Slack takes messages again, nothing is to be done; those are lost."
_GIVEN_UP_SHOWN_FOR = timedelta(days=1)


def bad_settings(sentence: str) -> Finding:
    """The finding for invalid settings; nothing else can be checked with them."""
    return Finding("settings", sentence.rstrip("."), "Mend it in the environment or in .env, and run doctor again.")


def examine(settings: Settings, report: Callable[[Finding], None]) -> bool:
    """Checks everything, and calls `report` for each finding. Returns whether nothing is wrong."""
    sound = True
    for finding in _check_all(settings):
        sound = sound and finding.sound
        report(finding)
    return sound


def _check_all(settings: Settings) -> Iterator[Finding]:
    yield _check_settings(settings)
    if shortage := find_file_shortage():
        yield Finding("open files", *shortage)
    try:
        with open_database(settings) as url:
            pooling = preflight.check_database(url) if settings.database_url is not None else Pooling.NONE
            store = Store.open(url, pooling=pooling)
            try:
                yield _check_database(store)
                yield from check_session(store)
                schema = _check_schema(store)
                yield schema
                yield from _check_alertmanager(settings)
                installed: list[CheckedWorkspace] = []
                if schema.fix is None:
                    installed = yield from _check_contents(settings, store)
                own = yield from check_slack(settings, store.clock)
                asked: list[bool] = []  # of each cell that answers, whether it has the workspace of `own`
                if settings.cells:
                    yield from check_addresses({DEFAULT: url, **settings.cells})
                for name, of_cell in settings.cells.items():
                    yield from check_cell(name, of_cell, partial(_check_store, settings, own, asked))
                if schema.fix is None:
                    sure = len(asked) == len(settings.cells) or _has_workspace(store, own)
                    of_default = [own] if own and sure and not any(asked) else []
                    yield from check_workspaces(store, [*of_default, *installed])
                return
            finally:
                store.close()
    except DatabaseUnfit as error:
        yield Finding("database", str(error), "Then run doctor again.")
    except (DatabaseAway, EmbeddedPostgresError) as error:
        where = "DATABASE_URL" if settings.database_url else "TOCSIN_DATA_DIR"
        fix = f"Check {where}, that the server runs, and that this machine may reach it."
        yield Finding("database", f"cannot be used: {get_reason(error)}", fix)
    yield from check_slack(settings, None)


def _check_store(
    settings: Settings, own: CheckedWorkspace | None, asked: list[bool], store: Store
) -> Iterator[Finding]:
    """The checks of the database of a further cell. Adds to `asked` whether it has the workspace of `own`."""
    yield _check_database(store)
    yield from check_session(store)
    schema = _check_schema(store)
    yield schema
    if schema.fix is None:
        installed = yield from _check_contents(settings, store)
        asked.append(_has_workspace(store, own))
        yield from check_workspaces(store, [*([own] if own and asked[-1] else []), *installed])


def _has_workspace(store: Store, workspace: CheckedWorkspace | None) -> bool:
    """Whether an organization of this database has the workspace, and goes on having it."""
    if workspace is None:
        return False
    with store.read() as connection:
        return cells.find_workspace(connection, workspace.id) is Held.YES and cells.is_connected(
            connection, workspace.id
        )


def _check_contents(settings: Settings, store: Store) -> Generator[Finding, None, list[CheckedWorkspace]]:
    """Returns the workspaces in which the app is installed by OAuth."""
    yield _check_intake(settings, store)
    installed = yield from check_installations(settings, store)
    yield from _check_refusals(store)
    yield from check_processes(store)
    yield from _check_delivery(store)
    return installed


def _check_settings(settings: Settings) -> Finding:
    if settings.mode is Mode.NONE:
        return Finding(
            "settings",
            f"not set: {' and '.join(settings.find_missing())}",
            f"Create the Slack app from `{PROGRAM} manifest`, and put its tokens into the environment or .env.",
        )
    return Finding("settings", "Socket Mode" if settings.mode is Mode.SOCKET else "HTTP mode")


def _check_database(store: Store) -> Finding:
    with store.read() as connection:
        server = queries.get_server_version(connection)
    if store.pooling is not Pooling.NONE:
        server += f" through a pooler at {describe_server(store.url)} in {store.pooling} mode"
    if store.pooling is Pooling.TRANSACTION:
        server += f": {IN_TRANSACTION_MODE}"
    try:
        store.ensure_writable()
    except ReadOnlyServer:
        return Finding(
            "database",
            f"{server}, which is read-only: a standby, or default_transaction_read_only is on there",
            "Have DATABASE_URL name the primary.",
        )
    return Finding("database", server)


def _check_alertmanager(settings: Settings) -> Iterator[Finding]:
    if settings.alertmanager_url is None:
        return
    client = AlertmanagerClient(settings.alertmanager_url.get_secret_value())
    try:
        yield Finding("Alertmanager", f"version {client.get_version().version} at {client.place}")
    except AlertmanagerAway as error:
        fix = "Check ALERTMANAGER_URL, and that this machine may reach it. Until then, silences stand in Slack alone."
        yield Finding("Alertmanager", str(error), fix)


def _check_schema(store: Store) -> Finding:
    found, wanted, known = get_revisions(store)
    if found == wanted:
        return Finding("schema", f"at {found}")
    if found is not None and not known:
        return Finding("schema", f"at {found}, which a later version made; this one works on it")
    behind = f"at {found}, and {wanted} is needed" if found else "the database is empty"
    return Finding("schema", behind, f"Run `{PROGRAM} migrate`; `serve` does it too when it starts.")


def _check_intake(settings: Settings, store: Store) -> Finding:
    with store.read() as connection:
        tokens = queries.count_tokens_by_source(connection)
        sealed = queries.get_encrypted_secrets(connection)
    if sealed and settings.secret_key is None:
        return Finding(
            "intake",
            f"{_count_tokens(len(sealed))} of Sentry cannot be used: TOCSIN_SECRET_KEY is not set",
            "Set it to the key with which they were created.",
        )
    if sealed and settings.secret_key is not None:
        unreadable = _find_unreadable(SecretBox(settings.secret_key.get_secret_value()), sealed)
        if unreadable:
            ids = ", ".join(map(str, unreadable))
            count = _count_tokens(len(unreadable))
            return Finding(
                "intake",
                f"{count} of Sentry cannot be used: made with another TOCSIN_SECRET_KEY (ID {ids})",
                "Set TOCSIN_SECRET_KEY to that key again, or revoke them and create new ones.",
            )
    if not tokens:
        return Finding("intake", f"no alerting system can post yet; `{PROGRAM} token create` makes a token")
    return Finding("intake", "tokens for " + ", ".join(f"{source} ({n})" for source, n in sorted(tokens.items())))


def _check_refusals(store: Store) -> Iterator[Finding]:
    with store.read() as connection:
        refused = queries.list_refused_tokens(connection)
    for token in refused:
        when = token.when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        yield Finding(
            "intake",
            f"the last delivery with token {token.id} ({token.source}) was refused at {when}: {token.why}",
            "Mend what that system sends; docs/alerts.md says what is needed. The next good delivery clears this.",
        )


def _count_tokens(number: int) -> str:
    return "1 token" if number == 1 else f"{number} tokens"


def _find_unreadable(box: SecretBox, sealed: Mapping[int, str]) -> list[int]:
    found = []
    for token_id, secret in sealed.items():
        try:
            box.open(secret)
        except SecretUnreadable:
            found.append(token_id)
    return found


def _check_delivery(store: Store) -> Iterator[Finding]:
    """What cannot be sent, as far as the database knows; `check_slack` asks Slack about the channels."""
    with store.read() as connection:
        paused = pacing.get_paused_workspaces(connection, store.clock.now())
        troubles = delivery_failures.list_failed_destinations(connection)
        waiting = posts.count_waiting(connection)
        workspaces = leases.list_workspaces(connection)
        given_up = posts.count_failed_since(connection, store.clock.now() - _GIVEN_UP_SHOWN_FOR)
    for workspace_id, (reason, _) in paused.items():
        fix = "Nothing is lost: what waits is sent once SLACK_BOT_TOKEN is good again."
        if reason == DISCONNECTED:
            yield Finding("delivery", f"nothing is sent to {workspace_id}: an owner has disconnected it in Slack")
            continue
        if reason == PAUSED:
            yield Finding(
                "delivery",
                f"nothing is sent to {workspace_id}: its organization is being moved; {waiting} messages wait",
                f"Run `{PROGRAM} move` again to finish it, or with --cancel to have it stay. Nothing is lost.",
            )
            continue
        if reason in REMOVED:
            fix = "Nothing is lost: what waits is sent once the app is installed there again, at /slack/install."
        yield Finding("delivery", f"paused for {workspace_id}, Slack says {reason}; {waiting} messages wait", fix)
    for trouble in troubles:
        if trouble.channel_id is not None:
            whom = f"channel #{trouble.channel_name}" if trouble.channel_name else f"channel {trouble.channel_id}"
            fix = "What to do about that channel stands below; it is tried again with the next change."
        else:
            whom = trouble.member or "somebody who is no member"
            fix = "Look at that person's account in Slack, or take them out of the organization file."
        if trouble.reason not in _OF_CONVERSATIONS:
            fix = _REFUSED_FIX
        yield Finding("delivery", f"messages to {whom} cannot arrive ({trouble.reason})", fix)
    for reason, count in given_up.items():
        if reason not in _OF_CONVERSATIONS:
            messages = "1 message was" if count == 1 else f"{count} messages were"
            yield Finding("delivery", f"{messages} given up since yesterday ({reason})", _GIVEN_UP_FIX)
    if not paused:
        yield from check_lag(store, workspaces)
    if not paused and not troubles and not given_up:
        yield Finding("delivery", f"{waiting} messages wait to be sent" if waiting else "nothing waits to be sent")
