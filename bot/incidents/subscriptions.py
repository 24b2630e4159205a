"""Who gets direct messages about an incident: subscriptions, and the notification setting of each member."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.incidents import lookup
from bot.incidents.access import Access
from storage.queries import access as access_queries
from storage.queries import direct_messages, outbox
from storage.queries import subscriptions as followers
from storage.rows import IncidentHead


def subscribe(tx: Connection, access: Access, identifier: int, now: datetime) -> tuple[IncidentHead, bool]:
    """Subscribes the caller. Returns the incident, and whether they were not subscribed before. Raises NotFound."""
    incident = lookup.get_incident(tx, access, identifier)
    new = followers.subscribe(tx, incident.organization_id, incident.id, [access.member_id], now)
    _redraw_message(tx, incident, access, now)
    return incident, bool(new)


def unsubscribe(tx: Connection, access: Access, identifier: int, now: datetime) -> tuple[IncidentHead, bool]:
    """Unsubscribes the caller. Returns the incident, and whether they were subscribed. Raises NotFound."""
    incident = lookup.get_incident(tx, access, identifier)
    was = followers.unsubscribe(tx, incident.organization_id, incident.id, access.member_id)
    _redraw_message(tx, incident, access, now)
    return incident, was


def _redraw_message(tx: Connection, incident: IncidentHead, access: Access, now: datetime) -> None:
    """Has the caller's direct message about the incident show whether they follow it."""
    outbox.redraw_direct_messages(tx, [(incident.organization_id, incident.id)], now)
    direct_messages.hurry_for_member(tx, incident.organization_id, incident.id, access.member_id, now)


def get_notify(connection: Connection, access: Access) -> str:
    """What the caller gets direct messages about: "all", "mentions" or "none"."""
    return access_queries.get_notify(connection, access.organization_id, access.member_id)


def set_notify(tx: Connection, access: Access, notify: str) -> None:
    """Stores what the caller gets direct messages about: "all", "mentions" or "none"."""
    access_queries.set_notify(tx, access.organization_id, access.member_id, notify)
