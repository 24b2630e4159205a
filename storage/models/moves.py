"""Organizations that are moved to another cell."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade


class OrganizationMove(Base):
    """An organization that leaves this database. Until it is gone, nothing of it can be changed here."""

    __tablename__ = "organization_move"

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), primary_key=True)
    cell: Mapped[str]  # the name of the cell that it is moved to
    date_started: Mapped[datetime]
