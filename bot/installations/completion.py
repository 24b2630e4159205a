"""Completes an installation: checks who installs and for whom, stores it, and has the owners told.

A workspace is not connected to an organization here: an owner does that (`bot.installations.workspaces`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth.installation_store import Installation
from sqlalchemy import Connection

from bot.installations.invitations import Invitation
from bot.installations.tokens import TokenStore
from bot.messages import workspaces as messages
from bot.people.notices import send_notice
from bot.slack.backoff import reason_of
from bot.slack.clients import web_client
from bot.slack.manifest import SCOPES
from bot.slack.requests import Person
from bot.slack.web_api import WebApi
from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.engine import Store
from storage.installation_rows import InstallationRow
from storage.queries import audit, cells, pacing
from storage.queries import installations as queries
from storage.queries import workspaces as workspace_queries

log = structlog.get_logger(__name__)

# Flags of Slack users who may not install: whoever is no member of the workspace in full.
_NOT_IN_FULL = ("is_restricted", "is_ultra_restricted", "is_stranger", "is_bot", "is_app_user", "deleted")
_TEAMS_AT_ONCE = 200


class NotInstallable(Exception):
    """An installation is refused. `reason` is a key of `pages.FAILURES`."""

    def __init__(self, reason: str, installation_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.installation_id = installation_id


class Completes(Protocol):
    """Completes installations; `Completion` does, in one database."""

    def find_inviting_organization(self, invitation: Invitation) -> str | None: ...

    def complete(self, installation: Installation, invitation: Invitation | None) -> bool: ...


class Completion:
    """Completes the installations of one app."""

    def __init__(self, store: Store, tokens: TokenStore, *, api_url: str, on_change: Callable[[], None]) -> None:
        """`on_change` is called after an installation was stored."""
        self._store = store
        self._tokens = tokens
        self._api_url = api_url
        self._on_change = on_change

    def find_inviting_organization(self, invitation: Invitation) -> str | None:
        """The name of the organization of an invitation; None if who made it is no owner any more."""
        with self._store.read() as connection:
            return workspace_queries.find_organization_of_owner(
                connection, invitation.organization_id, invitation.member_id
            )

    def is_connected(self, id_: str) -> bool:
        """Whether an organization has the workspace, or one of those of the Enterprise organization."""
        with self._store.read() as connection:
            return cells.is_connected(connection, id_)

    def complete(self, installation: Installation, invitation: Invitation | None) -> bool:
        """Checks and stores an installation. Returns whether a workspace of it waits to be connected.

        Raises NotInstallable, OSError, DatabaseAway, Contended.
        """
        now = self._store.clock.now()
        try:
            row = self._tokens.build_row(installation, invitation.organization_id if invitation else None, now)
        except ValueError:
            raise NotInstallable("invalid_code") from None
        client = web_client(self._api_url, installation.bot_token)
        try:
            self._check_scopes(row)
            self._check_installer(client, row)
            workspaces = list_workspaces_of_token(client) if row.of_enterprise else {row.id: row.name}
            self._check_organization(workspaces, invitation)
        except NotInstallable as refusal:
            self._give_up(client, row)
            raise NotInstallable(refusal.reason, row.id) from None
        except SlackApiError as error:
            log.warning("Slack refused a question about an installation", installation=row.id, reason=reason_of(error))
            self._give_up(client, row)
            raise NotInstallable("slack_away", row.id) from None
        with self._store.write() as tx:
            waiting = self._save(tx, row, workspaces, invitation)
        log.info("the app was installed", installation=row.id, by=row.installed_by, workspaces=len(workspaces))
        self._on_change()
        return waiting

    def _check_scopes(self, row: InstallationRow) -> None:
        if SCOPES.keys() - set(row.scopes.split(",")):
            raise NotInstallable("missing_scopes")

    def _check_installer(self, client: WebApi, row: InstallationRow) -> None:
        """Slack asks administrators whether guests may install, and this bot does not let them."""
        user = client.users_info(user=row.installed_by)["user"]
        if any(user.get(flag) for flag in _NOT_IN_FULL):
            raise NotInstallable("guest")

    def _check_organization(self, workspaces: Mapping[str, str | None], invitation: Invitation | None) -> None:
        if invitation is None:
            return
        with self._store.read() as connection:
            owners = workspace_queries.find_organizations_of(connection, list(workspaces))
        if any(organization_id != invitation.organization_id for organization_id in owners.values()):
            raise NotInstallable("other_organization")

    def _give_up(self, client: WebApi, row: InstallationRow) -> None:
        """Returns the token of a refused installation, unless an earlier one goes on: it may have the same token."""
        with self._store.read() as connection:
            earlier = queries.get_installations(connection, [row.id])
        if any(one.date_ended is None for one in earlier):
            return
        try:
            client.auth_revoke()
        except (SlackApiError, OSError) as error:
            log.warning("the token of a refused installation could not be revoked", error=str(error))

    def _save(
        self,
        tx: Connection,
        row: InstallationRow,
        workspaces: Mapping[str, str | None],
        invitation: Invitation | None,
    ) -> bool:
        now = row.date_installed
        known = queries.get_installations(tx, [row.id])
        queries.save_installation(tx, row, workspaces, now)
        owners = workspace_queries.find_organizations_of(tx, list(workspaces))
        for workspace_id in owners:
            pacing.resume_workspace(tx, workspace_id)
        for organization_id in {*owners.values()}:
            change = AuditChange(
                AuditAction.INSTALLATION_CHANGE if known else AuditAction.INSTALLATION_ADD,
                row.id,
                before={"scopes": known[0].scopes} if known else None,
                after={"scopes": row.scopes, "workspaces": sorted(workspaces)},
            )
            actor = Actor(AuditOrigin.OAUTH, name=row.installed_by)
            audit.record(tx, organization_id, actor, [change], now)
        if invitation is None:
            return owners.keys() != workspaces.keys()
        waiting = workspace_queries.request_workspaces(
            tx, invitation.organization_id, list(workspaces), row.installed_by, now
        )
        if waiting:
            send_notice(
                tx,
                Person(invitation.workspace_id, invitation.user_id, None),
                messages.render_installed(row.name, row.id, len(waiting), of_enterprise=row.of_enterprise),
                f"installed:{row.id}:{now.timestamp()}",
                now,
            )
        return bool(waiting)


def list_workspaces_of_token(client: WebApi) -> dict[str, str | None]:
    """The workspaces of an Enterprise organization that the app was given, with their names. Raises SlackApiError."""
    found: dict[str, str | None] = {}
    cursor = ""
    while True:
        answer = client.auth_teams_list(cursor=cursor or None, limit=_TEAMS_AT_ONCE)
        found |= {str(team["id"]): team.get("name") for team in answer.get("teams") or []}
        cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            return found
