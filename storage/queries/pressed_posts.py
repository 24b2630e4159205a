"""Posted messages whose button somebody presses. They are found by channel and ts, as Slack's requests name them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from storage.queries.visibility import shown_in_channel
from storage.values import PostKind

SOON_S = 5.0  # a person who pressed a button waits so long for the message to change
FEW = 6  # posts of a conversation that are sent in this time

_FIND = f"""
SELECT p.kind,
       p.failed_reason IS NULL AND p.refused_at IS NULL AND d.failed_reason IS NULL AND w.paused_reason IS NULL
       AND d.next_send_at <= %(soon)s AND coalesce(d.due_at > %(lately)s, true)
       AND coalesce((SELECT date_added FROM outbox WHERE NOT of_alert AND failures = 0
                     ORDER BY id LIMIT 1) > %(lately)s, true)
       AND NOT EXISTS (SELECT FROM method_pace m WHERE m.workspace_id = w.id AND m.method = 'chat.update'
                       AND m.spoken_for_until > %(updates_reserved)s)
       AND (SELECT count(*) FROM (SELECT FROM post o
                                  WHERE o.organization_id = p.organization_id AND o.destination_id = d.id
                                    AND o.wanted_version > o.drawn_version
                                    AND o.urgency <= p.urgency AND o.due_at <= %(soon)s LIMIT {FEW}) ahead) < {FEW}
FROM workspace w JOIN post p ON p.organization_id = w.organization_id
JOIN destination d ON d.workspace_id = w.id AND d.id = p.destination_id
WHERE p.id IN (SELECT o.id FROM post o WHERE o.organization_id = w.organization_id AND o.incident_id = %(incident_id)s
               UNION ALL SELECT r.post_id FROM call_recipient r
               WHERE r.organization_id = w.organization_id AND r.incident_id = %(incident_id)s)
  AND p.ts = %(ts)s AND w.id = %(workspace_id)s
  AND coalesce(d.channel_id, d.conversation_id) = %(channel_id)s
"""  # noqa: S608 - composed of constants


@dataclass(frozen=True, slots=True)
class PressedPost:
    """A message about an incident that delivery has posted."""

    kind: str
    shown_soon: bool  # nothing keeps delivery from updating it within seconds

    @property
    def follows_incident(self) -> bool:
        """Whether delivery updates it with its incident."""
        return self.kind in (PostKind.CARD, PostKind.NEWEST, PostKind.CALL)


def find_pressed_post(
    connection: Connection,
    incident_id: int,
    workspace_id: str,
    channel_id: str,
    ts: str,
    *,
    now: datetime,
    burst_s: float,
) -> PressedPost | None:
    """Returns the post of an incident that has this ts in a conversation; None if delivery did not post the message.

    `burst_s` is how far ahead, in seconds, calls of chat.update are reserved without having to wait.
    """
    row = connection.exec_driver_sql(
        _FIND,
        {
            "incident_id": incident_id,
            "workspace_id": workspace_id,
            "channel_id": channel_id,
            "ts": ts,
            "soon": now + timedelta(seconds=SOON_S),
            "lately": now - timedelta(seconds=SOON_S),
            "updates_reserved": now + timedelta(seconds=burst_s + SOON_S),
        },
    ).first()
    return None if row is None else PressedPost(row[0], row[1])


@dataclass(frozen=True, slots=True)
class ShownCard:
    """The card of an incident in a channel that may show it."""

    title: str | None  # on the card; None if it may still show an older one


def find_shown_card(
    connection: Connection, identifier: int, workspace_id: str, channel_id: str, ts: str
) -> ShownCard | None:
    """Returns the card if the message is the card of the workspace's incident, in a channel that may show it."""
    row = connection.exec_driver_sql(
        "SELECT CASE WHEN p.drawn_version >= p.wanted_version THEN i.title END"  # noqa: S608 - composed of constants
        " FROM post p JOIN destination d ON d.id = p.destination_id"
        " JOIN incident i ON i.organization_id = p.organization_id AND i.id = p.incident_id"
        " JOIN organization o ON o.id = i.organization_id"
        " JOIN workspace w ON w.id = d.workspace_id AND w.organization_id = o.id"
        f" WHERE p.ts = %(ts)s AND p.kind = '{PostKind.CARD}' AND i.identifier = %(identifier)s AND o.incidents"
        " AND w.id = %(workspace_id)s AND d.channel_id = %(channel_id)s"
        f" AND {shown_in_channel('i.organization_id', 'i.id', 'd.channel_id')}",
        {"identifier": identifier, "workspace_id": workspace_id, "channel_id": channel_id, "ts": ts},
    ).first()
    return None if row is None else ShownCard(row[0])
