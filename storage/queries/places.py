"""Where an incident is shown in a channel: on its card, or on the message of the storm into which it is folded.

Messages about the incident go to the thread there (`post.card_id`).
"""

from __future__ import annotations

from sqlalchemy import Connection

from storage.values import PostKind


def places_of_incident(incident: str) -> str:
    """Returns a query for the places of an incident, one in each channel: post_id, destination_id, folded.

    `incident` is an SQL expression for its id. `folded`: the post is the message of a storm, not a card.
    """
    return (
        "SELECT c.id AS post_id, c.destination_id, false AS folded FROM post c"  # noqa: S608 - composed of constants
        f" WHERE c.incident_id = {incident} AND c.kind = '{PostKind.CARD}'"
        " UNION ALL SELECT s.post_id, f.destination_id, true FROM storm_incident f"
        " JOIN storm s ON s.organization_id = f.organization_id AND s.id = f.storm_id"
        f" WHERE f.incident_id = {incident} AND f.folded"
    )


def find_place(connection: Connection, incident_id: int, destination_id: int) -> int | None:
    """Returns the id of the post in whose thread messages about an incident go in a channel; None if it has none there.

    The post may not be posted yet (`post.ts`).
    """
    post_id: int | None = connection.exec_driver_sql(
        f"SELECT post_id FROM ({places_of_incident('%(incident_id)s')}) place"  # noqa: S608 - composed of constants
        " WHERE destination_id = %(destination_id)s",
        {"incident_id": incident_id, "destination_id": destination_id},
    ).scalar()
    return post_id
