"""Installations of the app by OAuth, and what leads to one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade


class Installation(Base):
    """The app in a workspace, or in all workspaces of an Enterprise organization that it was given.

    It belongs to whoever installed it, and to no organization: which one a workspace belongs to, `workspace` says.
    The row of one that ended stays, without its tokens.
    """

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("(date_ended IS NULL) = (token_sealed IS NOT NULL)", name="token_until_end"),)

    id: Mapped[str] = mapped_column(primary_key=True)  # the workspace's "T…", or the Enterprise organization's "E…"
    enterprise_id: Mapped[str | None]
    name: Mapped[str | None]
    url: Mapped[str | None]
    app_id: Mapped[str | None]
    bot_user_id: Mapped[str]
    bot_id: Mapped[str | None]
    scopes: Mapped[str]  # separated by commas
    installed_by: Mapped[str]  # Slack's user id
    # Whose owner has sent the link by which it was installed last.
    organization_id: Mapped[int | None] = mapped_column(ForeignKey("organization.id", ondelete="SET NULL"), index=True)
    token_sealed: Mapped[str | None]
    refresh_token_sealed: Mapped[str | None]  # NULL: the token is not rotated
    token_expires_at: Mapped[datetime | None]
    refresh_leased_until: Mapped[datetime | None]  # a process refreshes the token until then
    version: Mapped[int] = mapped_column(server_default=text("1"))  # counts the changes, for the other processes
    date_installed: Mapped[datetime]
    date_ended: Mapped[datetime | None]
    end_reason: Mapped[str | None]


class InstallationWorkspace(Base):
    """A workspace in which an installation works."""

    __tablename__ = "installation_workspace"

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    installation_id: Mapped[str] = mapped_column(cascade("installation.id"), primary_key=True, index=True)
    name: Mapped[str | None]
    date_added: Mapped[datetime]


class WorkspaceRequest(Base):
    """A workspace that waits until an owner of the organization connects it."""

    __tablename__ = "workspace_request"

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    installed_by: Mapped[str]  # Slack's user id
    date_added: Mapped[datetime]


class OAuthState(Base):
    """The state with which somebody has come back from Slack's page: it is good for once.

    States are signed, so one that was not used yet needs no row.
    """

    __tablename__ = "oauth_state"

    state_hash: Mapped[str] = mapped_column(primary_key=True)  # SHA-256, hex
    organization_id: Mapped[int | None] = mapped_column(cascade("organization.id"), index=True)  # whose link it was
    date_expires: Mapped[datetime] = mapped_column(index=True)
