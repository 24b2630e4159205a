"""Finds one incident for a member. Every rule gets a single incident from here, so permission is always checked."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import NotFound, StatusChanged
from storage.prefetch import Prefetch
from storage.queries import activity, incidents, post_contents, threads
from storage.rows import IncidentDetails, IncidentHead

_LARGEST_IDENTIFIER = 2**63 - 1  # what the column holds


def get_incident(
    connection: Connection, access: Access, identifier: int, *, lock: bool = False, shown: int | None = None
) -> IncidentHead:
    """The incident with that identifier, if the caller sees it. `lock` locks its row.

    `shown` is the state that the caller was shown (see `bot.messages.state_tag`); None where that is not known. Raises
    NotFound, and StatusChanged if the incident has another state by now.
    """
    found = None
    if can_exist(identifier):
        found = incidents.find_incident(connection, access.organization_id, identifier, access.project_ids, lock=lock)
    if found is None:
        raise NotFound(identifier)
    if shown is not None and shown != get_state(connection, found):
        raise StatusChanged(identifier, found.title)
    return found


def get_state(connection: Connection, incident: IncidentHead) -> int:
    """What identifies the present state of an incident: the id of its last change of status; 0 before the first."""
    change = activity.find_last_status_change(connection, incident.organization_id, incident.id)
    return change.id if change else 0


def prefetch_details(identifier: int) -> Prefetch | None:
    """The read for `get_details`, to run together with finding the caller; None for an impossible identifier."""
    return incidents.prefetch_details(identifier) if can_exist(identifier) else None


def get_details(
    connection: Connection, access: Access, identifier: int, prefetched: Prefetch | None = None
) -> IncidentDetails:
    """The incident with everything that `view` shows, if the caller sees it. Raises NotFound.

    `prefetched` is the result of `prefetch_details`, after it was run.
    """
    found = None
    if can_exist(identifier):
        found = incidents.find_incident_details(
            connection,
            access.organization_id,
            identifier,
            project_ids=access.project_ids,
            member_id=access.member_id,
            workspace_id=access.workspace_id,
            prefetched=prefetched,
        )
    if found is None:
        raise NotFound(identifier)
    return found


def find_card(connection: Connection, access: Access, incident: IncidentHead) -> tuple[str, str] | None:
    """Channel and ts of the incident's oldest card in a channel of the caller's workspace and projects, or None."""
    return post_contents.find_card_for_reader(
        connection, incident.organization_id, incident.id, access.member_id, access.workspace_id
    )


def find_identifier_by_card(connection: Connection, access: Access, channel_id: str, ts: str) -> int | None:
    """The identifier of the incident whose card a message is; None for no card, or if the caller may not see it."""
    card = threads.find_card(connection, access.workspace_id, channel_id, ts)
    if card is None:
        return None
    found = incidents.find_incident(connection, access.organization_id, card.identifier, access.project_ids, lock=False)
    # The workspace may have moved: another organization's incident can have the same identifier.
    return found.identifier if found is not None and found.id == card.incident_id else None


def can_exist(identifier: int) -> bool:
    """Whether an incident may have this identifier."""
    return 0 < identifier <= _LARGEST_IDENTIFIER
