"""Value types of installations by OAuth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class InstallationRow:
    """An installation as it is stored. Its tokens are encrypted."""

    id: str  # the workspace's "T…", or the Enterprise organization's "E…"
    enterprise_id: str | None
    name: str | None
    url: str | None
    app_id: str | None
    bot_user_id: str
    bot_id: str | None
    scopes: str  # separated by commas
    installed_by: str  # Slack's user id
    organization_id: int | None  # whose owner has sent the link by which it was installed last
    token_sealed: str | None  # None: it ended
    refresh_token_sealed: str | None
    token_expires_at: datetime | None
    date_installed: datetime
    date_ended: datetime | None = None
    end_reason: str | None = None
    version: int = 0  # counts the changes
    workspaces: tuple[str, ...] = ()  # in which it works

    @property
    def of_enterprise(self) -> bool:
        """Whether it is installed for an Enterprise organization, and not for one workspace."""
        return self.id.startswith("E")


@dataclass(frozen=True, slots=True)
class RefreshLease:
    """The right of one process to refresh the token of an installation."""

    installation_id: str
    refresh_token_sealed: str


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    """A workspace of an organization, or one that waits to be connected."""

    id: str
    name: str | None  # None: not installed by OAuth
    connected: bool  # False: it waits
    installed: bool  # by OAuth, and not ended
    removed: bool = False  # it was installed by OAuth, and that has ended
    installed_by: str | None = None  # Slack's user id
    date_added: datetime | None = None
