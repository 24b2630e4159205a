"""What handlers need of installations: links for owners, and what Slack's events about installations lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from slack_sdk.errors import SlackApiError
from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.installations.completion import list_workspaces_of_token
from bot.installations.invitations import Invitation, Invitations
from bot.installations.tokens import TokenStore
from bot.messages import workspaces as messages
from bot.secret_box import SecretUnreadable
from bot.slack.backoff import reason_of
from bot.slack.clients import web_client
from bot.slack.manifest import INSTALL_PATH
from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.engine import Store
from storage.installation_rows import InstallationRow
from storage.queries import audit, outbox, pacing
from storage.queries import installations as queries
from storage.queries import workspaces as workspace_queries
from storage.values import PostKind, Urgency

log = structlog.get_logger(__name__)

# Slack's errors for a token of an app that was removed.
_ENDED = frozenset({"account_inactive", "token_revoked", "invalid_auth", "token_expired", "not_authed"})
# For good: an installation resumes it.
_PAUSE = timedelta(days=3650)
ACCESS_REVOKED = "team_access_revoked"


class StillUnknown(Exception):
    """Slack could not be asked whether an installation has ended."""


@dataclass(frozen=True, slots=True)
class InstallationService:
    """The installations by OAuth of this app."""

    store: Store
    tokens: TokenStore
    invitations: Invitations
    api_url: str
    public_url: str | None
    on_change: Callable[[], None]  # has this process read the installations again

    def build_link(self, access: Access, user_id: str, now: datetime) -> str | None:
        """The link with which a workspace is installed for the caller's organization; None without PUBLIC_URL."""
        if self.public_url is None:
            return None
        invitation = Invitation(access.organization_id, access.member_id, access.workspace_id, user_id)
        return f"{self.public_url}{INSTALL_PATH}?invitation={self.invitations.write(invitation, now)}"

    # --- events ----------------------------------------------------------------------------------------------

    def end(self, installation_id: str, reason: str, now: datetime) -> None:
        """The app was removed, or its tokens were revoked: nothing more is sent, and everything is kept.

        Slack is asked whether the token works: an event of an earlier installation may arrive after the next one was
        made. Raises StillUnknown, DatabaseAway, Contended.
        """
        row = self._find(installation_id)
        if row is None:
            return
        if self._works(row):
            log.info("an event about an earlier installation was left", installation=row.id, reason=reason)
            return
        with self.store.write() as tx:
            if not queries.end_installation(tx, row.id, reason, now):
                return
            self._pause(tx, row.workspaces, reason, now)
            self._record(tx, row, row.workspaces, AuditAction.INSTALLATION_REMOVE, reason, now)
        log.warning("the app was removed; nothing is sent any more", installation=row.id, reason=reason)
        self.on_change()

    def grant(self, enterprise_id: str, workspace_ids: Sequence[str], now: datetime) -> None:
        """An Enterprise organization gives the app more workspaces. They wait for the owners who have invited it."""
        row = self._find(enterprise_id)
        if row is None or not workspace_ids:
            return
        names = self._list_names(row)
        with self.store.write() as tx:
            queries.add_workspaces(tx, row.id, {one: names.get(one) for one in workspace_ids}, now)
            for workspace_id in workspace_ids:
                pacing.resume_workspace(tx, workspace_id)
            self._record(tx, row, workspace_ids, AuditAction.INSTALLATION_CHANGE, "team_access_granted", now)
            if row.organization_id is not None:
                self._request(tx, row, row.organization_id, workspace_ids, now)
        log.info("the app was given more workspaces", installation=row.id, workspaces=list(workspace_ids))
        self.on_change()

    def withdraw(self, enterprise_id: str, workspace_ids: Sequence[str], now: datetime) -> None:
        """An Enterprise organization takes workspaces from the app: nothing more is sent there."""
        row = self._find(enterprise_id)
        if row is None or not workspace_ids:
            return
        with self.store.write() as tx:
            queries.remove_workspaces(tx, row.id, workspace_ids)
            self._pause(tx, workspace_ids, ACCESS_REVOKED, now)
            self._record(tx, row, workspace_ids, AuditAction.INSTALLATION_CHANGE, ACCESS_REVOKED, now)
        log.warning("workspaces were taken from the app", installation=row.id, workspaces=list(workspace_ids))
        self.on_change()

    def _find(self, installation_id: str) -> InstallationRow | None:
        with self.store.read() as connection:
            rows = queries.get_installations(connection, [installation_id])
        return rows[0] if rows and rows[0].date_ended is None else None

    def _works(self, row: InstallationRow) -> bool:
        try:
            tokens = self.tokens.open_tokens(row)
        except SecretUnreadable:
            return False
        try:
            web_client(self.api_url, tokens.token if tokens else None).auth_test()
        except SlackApiError as error:
            if reason_of(error) in _ENDED:
                return False
            raise StillUnknown(reason_of(error)) from error
        except OSError as error:
            raise StillUnknown(str(error)) from error
        return True

    def _list_names(self, row: InstallationRow) -> dict[str, str | None]:
        try:
            tokens = self.tokens.open_tokens(row)
            return list_workspaces_of_token(web_client(self.api_url, tokens.token if tokens else None))
        except (SecretUnreadable, SlackApiError, OSError) as error:
            log.warning("the names of workspaces could not be read", installation=row.id, error=str(error))
            return {}

    def _pause(self, tx: Connection, workspace_ids: Sequence[str], reason: str, now: datetime) -> None:
        """Has every process stop at once: delivery reads this before each look for what is due."""
        for workspace_id in workspace_ids:
            other = queries.find_installation_of(tx, workspace_id)
            if other is None:
                pacing.pause_workspace(tx, workspace_id, reason, _PAUSE.total_seconds(), now)

    def _request(
        self, tx: Connection, row: InstallationRow, organization_id: int, workspace_ids: Sequence[str], now: datetime
    ) -> None:
        waiting = workspace_queries.request_workspaces(tx, organization_id, workspace_ids, row.installed_by, now)
        if not waiting:
            return
        for workspace_id, member_id in workspace_queries.list_owners(tx, organization_id):
            outbox.enqueue(
                tx,
                workspace_id=workspace_id,
                member_id=member_id,
                key=f"granted:{row.id}:{now.timestamp()}:{member_id}",
                message=dict(messages.render_granted(row.name, len(waiting))),
                kind=PostKind.NOTE,
                now=now,
                urgency=Urgency.NEWS,
            )

    def _record(
        self,
        tx: Connection,
        row: InstallationRow,
        workspace_ids: Sequence[str],
        action: AuditAction,
        reason: str,
        now: datetime,
    ) -> None:
        """Tells every organization that has one of the workspaces, in its audit log."""
        by_organization: dict[int, list[str]] = {}
        for workspace_id, organization_id in workspace_queries.find_organizations_of(tx, workspace_ids).items():
            by_organization.setdefault(organization_id, []).append(workspace_id)
        for organization_id, theirs in by_organization.items():
            change = AuditChange(action, row.id, after={"reason": reason, "workspaces": sorted(theirs)})
            audit.record(tx, organization_id, Actor(AuditOrigin.OAUTH), [change], now)
