"""Tokens with which other systems post alerts, and what each alert has said so far."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade


class IntakeToken(Base):
    """Lets one alerting system post for one organization, or for one project of it."""

    __tablename__ = "intake_token"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), index=True)
    project_id: Mapped[int | None] = mapped_column(cascade("project.id"), index=True)
    source: Mapped[str]
    token_hash: Mapped[str | None] = mapped_column(unique=True)  # SHA-256, hex; the token itself is not kept
    secret_encrypted: Mapped[str | None]  # Sentry signs with a secret that must stay readable
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used: Mapped[datetime | None]
    # When the last delivery was refused, in whole or in part, and why; NULL when all of it was taken.
    last_refused: Mapped[datetime | None]
    last_refusal: Mapped[str | None]
    date_revoked: Mapped[datetime | None]


class AlertMemory(Base):
    """What an alert has said of itself, one row for each alert: source, project and key.

    With it, deliveries that come twice, late or in another order end in the same state; and whoever handles an
    alert holds its row, so that two replicas never handle the same one at once.
    """

    __tablename__ = "alert_memory"
    __table_args__ = (
        Index("uq_alert_memory_alert_key", "organization_id", "source", "alert_key", "project_id", unique=True),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), primary_key=True)
    dedup_key: Mapped[str] = mapped_column(primary_key=True)  # what versions before "alerts01" know it by
    # NULL in rows that those versions wrote of alerts without an incident.
    source: Mapped[str | None]
    project_id: Mapped[int | None]
    alert_key: Mapped[str | None]
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incident.id", ondelete="SET NULL"), index=True)
    status: Mapped[int | None] = mapped_column(SmallInteger)  # the severity that it last fired with
    fired: Mapped[datetime | None]  # when the latest firing began, if the alert said so
    resolved: Mapped[datetime | None]  # when the latest one ended
    resolved_received: Mapped[datetime | None]  # when that was told
    resolved_started: Mapped[datetime | None]  # when that firing began, if its end said so
    heard: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)  # when a word of it last came, about
