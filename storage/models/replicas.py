"""The processes of `serve` that run on this database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base


class ProcessLease(Base):
    """Work that only one process does at a time: the one that holds its lease."""

    __tablename__ = "process_lease"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]  # made up by the process
    leased_until: Mapped[datetime]


class Replica(Base):
    """A process that says now and then that it runs. Nothing is decided by it: `doctor` and `/metrics` show it."""

    __tablename__ = "replica"

    id: Mapped[str] = mapped_column(primary_key=True)  # made up when the process starts
    role: Mapped[str]
    version: Mapped[str]
    host: Mapped[str]
    clock_ahead_s: Mapped[float]  # by how much the machine's clock is ahead of the database's
    date_started: Mapped[datetime]
    date_seen: Mapped[datetime]
