"""Stored data about requests from Slack."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    Identity,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within


class HandledRequest(Base):
    """A handled request from Slack. A form, command or event that arrives again has no effect."""

    __tablename__ = "handled_request"

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)  # "view:V…", "trigger:…", "event:Ev…"
    date_added: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class FormText(Base):
    """A text that an open form needs when it is submitted, too long for the form's private metadata."""

    __tablename__ = "form_text"
    __table_args__ = (cascade_within("member_id", "member"),)

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), primary_key=True)
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    member_id: Mapped[int] = mapped_column(index=True)  # the member who opened the form
    text: Mapped[str]
    date_added: Mapped[datetime] = mapped_column(index=True)
