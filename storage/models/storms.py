"""Storms: many new incidents in a channel that one message shows instead of a card each."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Identity, Index, PrimaryKeyConstraint, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within, null_within

_GOES_ON = text("date_ended IS NULL")


class Storm(Base):
    """A storm in a channel. It begins with the card that would exceed the channel's limit, and ends in calm.

    Whoever changes it or its incidents has locked the row of its destination.
    """

    __tablename__ = "storm"
    __table_args__ = (
        cascade_within("post_id", "post"),
        null_within("split_by", "member"),
        PrimaryKeyConstraint("organization_id", "id"),
        # A channel has at most one storm at a time, and so one message.
        Index("uq_storm_destination_id", "destination_id", unique=True, postgresql_where=_GOES_ON),
        Index("ix_storm_calm_at", "calm_at", postgresql_where=_GOES_ON),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    id: Mapped[int] = mapped_column(Identity())
    destination_id: Mapped[int] = mapped_column(cascade("destination.id"), index=True)
    post_id: Mapped[int] = mapped_column(unique=True)  # its message
    # The limit of the channel when it began.
    cards: Mapped[int]
    within_s: Mapped[int]
    critical_cards: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # cards of critical incidents
    date_started: Mapped[datetime]  # of its first incident's card
    date_last: Mapped[datetime]  # when the last incident was added
    calm_at: Mapped[datetime]  # it ends then, unless another incident is added
    date_ended: Mapped[datetime | None]
    date_split: Mapped[datetime | None]  # since then its incidents get cards, because somebody asked for them
    split_by: Mapped[int | None] = mapped_column(index=True)


class StormIncident(Base):
    """An incident of a storm: one that has a card in the channel, or one that is folded into the storm's message."""

    __tablename__ = "storm_incident"
    __table_args__ = (
        cascade_within("incident_id", "incident"),
        PrimaryKeyConstraint("organization_id", "storm_id", "incident_id"),
        ForeignKeyConstraint(
            ["organization_id", "storm_id"], ["storm.organization_id", "storm.id"], ondelete="CASCADE"
        ),
        # In a channel an incident is folded into one message at most.
        Index(
            "uq_storm_incident_folded",
            "incident_id",
            "destination_id",
            unique=True,
            postgresql_where=text("folded"),
        ),
        Index("ix_storm_incident_incident_id", "incident_id"),
    )

    organization_id: Mapped[int]
    storm_id: Mapped[int]
    incident_id: Mapped[int]
    destination_id: Mapped[int] = mapped_column(cascade("destination.id"), index=True)  # of the storm
    folded: Mapped[bool]  # has no card of its own there
