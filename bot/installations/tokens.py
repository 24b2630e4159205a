"""The tokens of installations in the database: saved encrypted, read, ended. Behind the interface of slack_sdk."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slack_sdk.oauth import InstallationStore
from slack_sdk.oauth.installation_store import Bot, Installation

from bot.secret_box import Purpose, SecretBox
from storage.engine import Store
from storage.installation_rows import InstallationRow
from storage.queries import installations as queries
from storage.queries import pacing

# Slack's ids of workspaces and of Enterprise organizations.
WORKSPACE, ENTERPRISE = "T", "E"
UNINSTALLED = "app_uninstalled"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an installation calls Slack with."""

    token: str
    refresh_token: str | None
    expires_at: datetime | None


class TokenStore(InstallationStore):
    """The installations of the app. Only tokens of bots are kept: the app asks for no others."""

    def __init__(self, store: Store, secret_keys: str) -> None:
        self._store = store
        self._box = SecretBox(secret_keys, Purpose.SLACK_TOKENS)

    @property
    def logger(self) -> logging.Logger:
        """The logger of the interface."""
        return logging.getLogger("slack_bolt")

    def open_tokens(self, row: InstallationRow) -> Tokens | None:
        """The decrypted tokens; None if the installation has ended. Raises SecretUnreadable."""
        if row.token_sealed is None:
            return None
        refresh = self._box.open(row.refresh_token_sealed) if row.refresh_token_sealed else None
        return Tokens(self._box.open(row.token_sealed), refresh, row.token_expires_at)

    def seal(self, secret: str) -> str:
        """Encrypts a token."""
        return self._box.seal(secret)

    def open(self, sealed: str) -> str:
        """Decrypts a token. Raises SecretUnreadable."""
        return self._box.open(sealed)

    def build_row(self, installation: Installation, organization_id: int | None, now: datetime) -> InstallationRow:
        """The row of an installation, with its tokens encrypted. Raises ValueError for one without ids or a token."""
        of_enterprise = bool(installation.is_enterprise_install)
        id_ = get_installation_id(installation.enterprise_id, installation.team_id, of_enterprise=of_enterprise)
        if id_ is None or not installation.bot_token or not installation.bot_user_id:
            raise ValueError("Slack's answer names no workspace, or has no token of a bot")
        scopes = installation.bot_scopes or ""
        refresh, expires = installation.bot_refresh_token, installation.bot_token_expires_at
        return InstallationRow(
            id=id_,
            enterprise_id=installation.enterprise_id,
            name=installation.enterprise_name if of_enterprise else installation.team_name,
            url=installation.enterprise_url,
            app_id=installation.app_id,
            bot_user_id=installation.bot_user_id,
            bot_id=installation.bot_id,
            scopes=scopes if isinstance(scopes, str) else ",".join(scopes),
            installed_by=installation.user_id,
            organization_id=organization_id,
            token_sealed=self.seal(installation.bot_token),
            refresh_token_sealed=self.seal(refresh) if refresh else None,
            token_expires_at=datetime.fromtimestamp(expires, UTC) if refresh and expires else None,
            date_installed=now,
        )

    # --- the interface ---------------------------------------------------------------------------------------

    def save(self, installation: Installation) -> None:
        """Saves an installation by nobody's invitation. Its custom values name the `workspaces` of an Enterprise."""
        now = self._store.clock.now()
        row = self.build_row(installation, None, now)
        workspaces: Mapping[str, str | None] = (
            installation.custom_values.get("workspaces", {}) if row.of_enterprise else {row.id: row.name}
        )
        with self._store.write() as tx:
            queries.save_installation(tx, row, workspaces, now)
            for workspace_id in workspaces:
                pacing.resume_workspace(tx, workspace_id)

    def find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        """The bot of an installation that has not ended."""
        found = self.find_installation(
            enterprise_id=enterprise_id, team_id=team_id, is_enterprise_install=is_enterprise_install
        )
        return found.to_bot() if found else None

    def find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,  # noqa: ARG002  # there are no tokens of users
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """An installation that has not ended: of the workspace, or of the Enterprise organization."""
        id_ = get_installation_id(enterprise_id, team_id, of_enterprise=bool(is_enterprise_install))
        with self._store.read() as connection:
            rows = queries.get_installations(connection, [id_] if id_ else [])
        tokens = self.open_tokens(rows[0]) if rows else None
        return _build_installation(rows[0], tokens) if rows and tokens else None

    def delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Ends an installation. Its tokens are deleted."""
        id_ = get_installation_id(enterprise_id, team_id, of_enterprise=team_id is None)
        with self._store.write() as tx:
            queries.end_installation(tx, id_ or "", UNINSTALLED, self._store.clock.now())

    def delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Does nothing for one user, whose tokens are not kept; else ends the installation."""
        if user_id is None:
            self.delete_bot(enterprise_id=enterprise_id, team_id=team_id)


def get_installation_id(enterprise_id: str | None, team_id: str | None, *, of_enterprise: bool) -> str | None:
    """The id under which an installation is stored; None where the ids name none."""
    id_, kind = (enterprise_id, ENTERPRISE) if of_enterprise else (team_id, WORKSPACE)
    return id_ if id_ and id_.startswith(kind) else None


def _build_installation(row: InstallationRow, tokens: Tokens) -> Installation:
    values: dict[str, Any] = {
        "enterprise_name" if row.of_enterprise else "team_name": row.name,
        "team_id": None if row.of_enterprise else row.id,
    }
    return Installation(
        app_id=row.app_id,
        enterprise_id=row.enterprise_id,
        enterprise_url=row.url,
        bot_token=tokens.token,
        bot_id=row.bot_id,
        bot_user_id=row.bot_user_id,
        bot_scopes=row.scopes,
        bot_refresh_token=tokens.refresh_token,
        bot_token_expires_at=int(tokens.expires_at.timestamp()) if tokens.expires_at else None,
        user_id=row.installed_by,
        is_enterprise_install=row.of_enterprise,
        installed_at=row.date_installed.timestamp(),
        **values,
    )
