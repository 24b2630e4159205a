"""Where an incident is shown in a channel: on its card, or on the message of the storm into which it is folded.

Messages about the incident go to the thread there (`post.card_id`).
"""

from __future__ import annotations

from storage.values import PostKind


def places_of_incident(organization: str, incident: str) -> str:
    """Returns a query for the places of an incident, one in each channel: post_id, destination_id, folded.

    `organization` and `incident` are SQL expressions for their ids. `folded`: the post is the message of
    a storm, not a card.
    """
    return (
        "SELECT c.id AS post_id, c.destination_id, false AS folded FROM post c"  # noqa: S608 - composed of constants
        f" WHERE c.organization_id = {organization} AND c.incident_id = {incident} AND c.kind = '{PostKind.CARD}'"
        " UNION ALL SELECT s.post_id, f.destination_id, true FROM storm_incident f"
        " JOIN storm s ON s.organization_id = f.organization_id AND s.id = f.storm_id"
        f" WHERE f.organization_id = {organization} AND f.incident_id = {incident} AND f.folded"
    )
