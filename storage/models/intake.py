"""Tokens with which other systems post alerts, and the stored state of each alert."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    Identity,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within, null_within


class IntakeToken(Base):
    """Allows one alerting system to post alerts for one organization, or for one of its projects."""

    __tablename__ = "intake_token"
    __table_args__ = (
        PrimaryKeyConstraint("id", "organization_id"),
        cascade_within("project_id", "project"),
    )

    id: Mapped[int] = mapped_column(Identity())
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), index=True)
    project_id: Mapped[int | None] = mapped_column(index=True)
    source: Mapped[str]
    token_hash: Mapped[str | None] = mapped_column(unique=True)  # SHA-256, hex; the token itself is not stored
    secret_encrypted: Mapped[str | None]  # encrypted, not hashed: Sentry's signatures need the secret
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used: Mapped[datetime | None]
    # When and why the last delivery was refused, in whole or in part; NULL if all of it was accepted.
    last_refused: Mapped[datetime | None]
    last_refusal: Mapped[str | None]
    date_revoked: Mapped[datetime | None]


class AlertMemory(Base):
    """The reported state of an alert. Source, project and key identify the alert.

    With this row, repeated, late and reordered deliveries end in the same state. A transaction that handles an alert
    locks its row, so that two replicas never handle the same alert at once.
    """

    __tablename__ = "alert_memory"
    __table_args__ = (
        null_within("incident_id", "incident"),
        Index("uq_alert_memory_alert_key", "organization_id", "source", "alert_key", "project_id", unique=True),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), primary_key=True)
    dedup_key: Mapped[str] = mapped_column(primary_key=True)  # the key in versions before "alerts01"
    # NULL in rows that those versions wrote for alerts without an incident.
    source: Mapped[str | None]
    project_id: Mapped[int | None]
    alert_key: Mapped[str | None]
    incident_id: Mapped[int | None] = mapped_column(index=True)
    status: Mapped[int | None] = mapped_column(SmallInteger)  # the severity of the latest firing
    fired: Mapped[datetime | None]  # when the latest firing began, if reported
    resolved: Mapped[datetime | None]  # when the latest firing that ended did so
    resolved_received: Mapped[datetime | None]  # when that end was received
    resolved_started: Mapped[datetime | None]  # when that firing began, if reported with its end
    heard: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)  # the latest delivery, approximately
