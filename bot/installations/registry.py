"""Keeps the clients of this process in step with the installations in the database, and refreshes their tokens.

Every process looks at the versions of all installations every few seconds, and at once when a request comes from a
workspace that it does not know. A token that ends soon is refreshed by whichever process leases it first. Slack leaves
the token before it in force until its end, so the other processes have time to read the new one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError

from bot.installations.tokens import TokenStore
from bot.metrics import SlackCallMetrics
from bot.secret_box import SecretUnreadable
from bot.slack.backoff import reason_of
from bot.slack.clients import Clients, Installation, web_client
from bot.slack.slack_clock import SlackClock
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.installation_rows import InstallationRow, RefreshLease
from storage.queries import installations as queries
from storage.queries import workspaces as workspace_queries

log = structlog.get_logger(__name__)

EVERY_S = 5.0
# As slack_sdk does: a token lasts twelve hours, so many attempts fit into what is left.
REFRESH_BEFORE_END = timedelta(hours=2)
# Slack takes a used refresh token again for a short time: a process that died before it stored the new one is replaced
# within that.
REFRESH_LEASE = timedelta(seconds=30)
EXPIRED = "token_expired"
_STOP_S = 1.0
_LEAST_LIFE_S = 60  # seconds that a token lasts if Slack does not say


class InstallationRegistry:
    """The installations of a process, from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        clients: Clients,
        tokens: TokenStore,
        *,
        api_url: str,
        client_id: str,
        client_secret: str,
        metrics: SlackCallMetrics | None = None,
    ) -> None:
        self._store = store
        self._clients = clients
        self._tokens = tokens
        self._api_url = api_url
        self._credentials = {"client_id": client_id, "client_secret": client_secret}
        self._metrics = metrics
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}  # of the installations that were read, by id
        self._rows: dict[str, InstallationRow] = {}
        self._disconnected: set[str] = set()  # workspaces in which an owner has ended the use of the bot
        self._clocks: dict[str, SlackClock] = {}  # by workspace: they outlive a token
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="installations", daemon=True)
        clients.on_missing = self._look_up

    def start(self) -> None:
        """Reads the installations, and from then on keeps them current. Raises DatabaseAway."""
        self.refresh_tokens()
        self.read()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def read(self) -> None:
        """Reads what has changed. Raises DatabaseAway, Contended."""
        with self._lock, self._store.read() as connection:
            versions = queries.list_versions(connection)
            if versions == self._versions:
                return
            changed = [id_ for id_, version in versions.items() if self._versions.get(id_) != version]
            rows = queries.get_installations(connection, changed) if changed else []
            self._rows = {id_: row for id_, row in self._rows.items() if id_ in versions} | {
                row.id: row for row in rows
            }
            self._disconnected = workspace_queries.list_disconnected(connection)
            self._versions = {id_: self._rows[id_].version for id_ in versions if id_ in self._rows}
            self._clients.replace(*self._connect({row.id for row in rows}))

    def _look_up(self, workspace_id: str) -> None:
        """Reads what has changed, because a request came from a workspace that is not known."""
        try:
            self.read()
        except (DatabaseAway, Contended) as error:
            log.warning("an installation could not be looked up", workspace=workspace_id, error=str(error))

    def _connect(self, changed: set[str]) -> tuple[Mapping[str, Installation], set[str]]:
        """The installations by workspace, and the workspaces with one whose token cannot be decrypted.

        That of an Enterprise organization comes before the workspace's own.
        """
        found: dict[str, Installation] = {}
        unreadable: set[str] = set()
        for row in sorted(self._rows.values(), key=lambda row: row.id, reverse=True):  # "E…" comes last, and wins
            for workspace_id in set(row.workspaces) - self._disconnected:
                there = self._clients.find(workspace_id)
                if there is not None and row.id not in changed and there.installation_id == row.id:
                    found[workspace_id] = there
                    continue
                try:
                    made = self._build(row, workspace_id)
                except SecretUnreadable:
                    unreadable.add(workspace_id)
                    log.error(
                        "the token of an installation cannot be decrypted with TOCSIN_SECRET_KEY", installation=row.id
                    )
                else:
                    if made is not None:
                        found[workspace_id] = made
        return found, unreadable

    def _build(self, row: InstallationRow, workspace_id: str) -> Installation | None:
        """The installation; None if it has ended. Raises SecretUnreadable."""
        tokens = self._tokens.open_tokens(row)
        if tokens is None:
            return None
        return Installation(
            workspace_id=workspace_id,
            bot_user_id=row.bot_user_id,
            bot_id=row.bot_id,
            client=web_client(
                self._api_url,
                tokens.token,
                metrics=self._metrics,
                team_id=workspace_id if row.of_enterprise else None,
            ),
            authorization=AuthorizeResult(
                enterprise_id=row.enterprise_id,
                team_id=workspace_id,
                team=row.name,
                url=row.url,
                bot_user_id=row.bot_user_id,
                bot_id=row.bot_id,
                bot_token=tokens.token,
            ),
            clock=self._clocks.setdefault(workspace_id, SlackClock()),
            app_id=row.app_id,
            installation_id=row.id,
        )

    # --- rotation of tokens ----------------------------------------------------------------------------------

    def refresh_tokens(self) -> None:
        """Refreshes the tokens that end soon. Raises DatabaseAway, Contended."""
        now = self._store.clock.now()
        with self._store.read() as connection:
            leases = queries.lease_refreshes(connection, now + REFRESH_BEFORE_END, REFRESH_LEASE, now)
        for lease in leases:
            self._refresh(lease, now)

    def _refresh(self, lease: RefreshLease, now: datetime) -> None:
        try:
            refresh_token = self._tokens.open(lease.refresh_token_sealed)
        except SecretUnreadable:
            log.error("a refresh token cannot be decrypted with TOCSIN_SECRET_KEY", installation=lease.installation_id)
            return
        try:
            answer = web_client(self._api_url, metrics=self._metrics).oauth_v2_access(
                **self._credentials, grant_type="refresh_token", refresh_token=refresh_token
            )
            token, following, expires_at = _read_answer(answer, now)
        except SlackApiError as error:
            self._report_refused(lease, reason_of(error), now)
            return
        except OSError as error:
            log.warning("a token could not be refreshed yet", installation=lease.installation_id, error=str(error))
            return
        except (KeyError, ValueError, TypeError):
            log.error("a token could not be refreshed: Slack's answer has none", installation=lease.installation_id)
            return
        with self._store.write() as tx:
            stored = queries.store_refreshed(
                tx, lease, self._tokens.seal(token), self._tokens.seal(following), expires_at
            )
        log.info("a token was refreshed", installation=lease.installation_id, replaced_meanwhile=not stored)

    def _report_refused(self, lease: RefreshLease, reason: str, now: datetime) -> None:
        """Says that Slack refuses a refresh. Once the token has ended, so has the installation."""
        with self._store.write() as tx:
            rows = queries.get_installations(tx, [lease.installation_id])
            # Another process, or a new installation, may have been faster.
            same = bool(rows) and rows[0].refresh_token_sealed == lease.refresh_token_sealed
            expires_at = rows[0].token_expires_at if same else None
            ended = expires_at is not None and expires_at <= now
            if ended:
                queries.end_installation(tx, lease.installation_id, EXPIRED, now)
        if same:
            log.error(
                "Slack refuses to refresh a token", installation=lease.installation_id, reason=reason, ended=ended
            )

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            try:
                self.refresh_tokens()
                self.read()
            except (DatabaseAway, Contended) as error:
                log.warning("installations wait for the database", error=str(error.__cause__ or error))
            except Exception:
                log.exception("unexpected error in installations")


def _read_answer(answer: Mapping[str, Any] | Any, now: datetime) -> tuple[str, str, datetime]:
    """The token of an answer, its refresh token, and its end. Raises KeyError, ValueError, TypeError."""
    if answer.get("token_type") != "bot":
        raise ValueError("no token of a bot")
    lasts_s = int(answer.get("expires_in") or _LEAST_LIFE_S)
    return str(answer["access_token"]), str(answer["refresh_token"]), now + timedelta(seconds=lasts_s)
