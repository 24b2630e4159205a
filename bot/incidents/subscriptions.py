"""Following an incident: who asked to be told of its comments and changes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.incidents import lookup
from bot.incidents.access import Access
from storage.queries import incidents
from storage.rows import IncidentHead


def subscribe(tx: Connection, access: Access, identifier: int, now: datetime) -> tuple[IncidentHead, bool]:
    """Subscribes the caller; gives the incident, and whether they were not subscribed yet. Raises NotFound."""
    incident = lookup.get_incident(tx, access, identifier)
    return incident, bool(incidents.subscribe(tx, incident.id, [access.member_id], now))


def unsubscribe(tx: Connection, access: Access, identifier: int) -> tuple[IncidentHead, bool]:
    """Ends the caller's subscription; gives the incident, and whether there was one. Raises NotFound."""
    incident = lookup.get_incident(tx, access, identifier)
    return incident, incidents.unsubscribe(tx, incident.id, access.member_id)
