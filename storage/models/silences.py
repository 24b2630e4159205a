"""Silences of alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, Identity, Index, PrimaryKeyConstraint, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within, null_within

_IN_FORCE = text("date_ended IS NULL")
_UNFINISHED = text("hold_after IS NOT NULL OR release_after IS NOT NULL")


class Silence(Base):
    """Alerts that make no cards until a moment. `incident.silence_id` names the one that matched an incident.

    It is in force until `date_ended`, which the tick sets once `ends` has passed, or a person before that. Incidents
    are held and released in batches, in the order of their ids.
    """

    __tablename__ = "silence"
    __table_args__ = (
        cascade_within("workspace_id", "workspace"),
        cascade_within("project_id", "project"),
        cascade_within("incident_id", "incident"),
        cascade_within("member_id", "member"),
        null_within("ended_by", "member"),
        PrimaryKeyConstraint("organization_id", "id"),
        Index("ix_silence_in_force", "organization_id", "ends", postgresql_where=_IN_FORCE),
        Index("ix_silence_due", "ends", postgresql_where=_IN_FORCE),
        Index("ix_silence_unfinished", "organization_id", "id", postgresql_where=_UNFINISHED),
        Index(
            "uq_silence_alertmanager",
            "organization_id",
            "alertmanager_id",
            unique=True,
            postgresql_where=text("alertmanager_id IS NOT NULL"),
        ),
        CheckConstraint("starts < ends", name="ends_after_start"),
        CheckConstraint("member_id IS NOT NULL OR made_by IS NOT NULL", name="somebody_made_it"),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    id: Mapped[int] = mapped_column(Identity())
    # Where its maker is told of its end; None: it was made in Alertmanager.
    workspace_id: Mapped[str | None] = mapped_column(index=True)
    project_id: Mapped[int | None] = mapped_column(index=True)  # None: all that its maker sees
    # The one that it was made from; None: it was made for maintenance.
    incident_id: Mapped[int | None] = mapped_column(index=True)
    member_id: Mapped[int | None] = mapped_column(index=True)  # who made it
    made_by: Mapped[str | None]  # who made it in Alertmanager, as it is written there
    # What an alert must have: its source, and its key or some of its labels. {"source": …, "labels": {name: value, …}}
    matchers: Mapped[dict[str, Any]]
    reason: Mapped[str | None]
    starts: Mapped[datetime]
    ends: Mapped[datetime]
    date_ended: Mapped[datetime | None]
    alertmanager_id: Mapped[str | None]  # of the silence that stands there for this one
    # Keys of the alerts that Alertmanager has silenced by it. One that was made there holds these and no others.
    alertmanager_keys: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    alertmanager_done: Mapped[bool] = mapped_column(server_default=false())  # its end has been followed there and here
    ended_by: Mapped[int | None] = mapped_column(index=True)
    hold_after: Mapped[int | None]  # open incidents with greater ids are still to be compared with it
    release_after: Mapped[int | None]  # it has ended, and goes on holding incidents with greater ids
    # What it held back of those that were released; how many of these were open.
    released: Mapped[int] = mapped_column(server_default=text("0"))
    released_open: Mapped[int] = mapped_column(server_default=text("0"))
