"""Posts that show changes: creates cards and the messages in their threads, has direct messages updated."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries import call_messages, direct_messages, handoffs, owner_reminders
from storage.queries.destinations import LockedDestinations, Shown
from storage.queries.home_workspaces import workspace_of_channel
from storage.queries.outbox_changes import EntryChange
from storage.queries.places import places_of_incident
from storage.queries.silences import is_silenced
from storage.queries.visibility import CHANNELS_OF_PROJECTS
from storage.values import ActivityType, PostKind, Status, Urgency

_CREATE_CARDS = PreparedStatement(
    f"""
INSERT INTO post (organization_id, destination_id, kind, incident_id, urgency, due_at, date_added)
SELECT DISTINCT n.organization_id, d.id, '{PostKind.CARD}', i.id,
       CASE WHEN NOT %(of_alert)s THEN {Urgency.URGENT:d} WHEN n.status = {Status.CRITICAL:d} THEN {Urgency.CHANGE:d}
            ELSE {Urgency.NEWS:d} END,
       %(now)s, %(now)s
FROM unnest(%(incident_ids)s::bigint[], %(workspaces)s::text[]) AS i(id, workspace_id)
JOIN incident n ON n.organization_id = ANY(%(organization_ids)s::bigint[]) AND n.id = i.id
JOIN ({CHANNELS_OF_PROJECTS}) ON ip.organization_id = n.organization_id AND ip.incident_id = n.id
JOIN destination d ON d.channel_id = pc.channel_id AND d.workspace_id =
  {workspace_of_channel("pc.channel_id", "i.workspace_id")}
WHERE d.id = ANY(%(destination_ids)s::bigint[]) AND NOT {is_silenced("n")} AND NOT EXISTS (
  SELECT FROM storm_incident f WHERE f.organization_id = n.organization_id AND f.incident_id = n.id
    AND f.destination_id = d.id AND f.folded)
ORDER BY i.id, d.id
ON CONFLICT (incident_id, destination_id) WHERE kind = '{PostKind.CARD}'
DO UPDATE SET urgency = EXCLUDED.urgency WHERE post.ts IS NULL AND post.urgency > EXCLUDED.urgency
""",  # noqa: S608 - composed of constants
    {"of_alert": "boolean", "now": "timestamptz"},
)


def create_cards(
    tx: Connection,
    organization_ids: Collection[int],
    incidents: Mapping[int, str | None],
    locked: LockedDestinations,
    now: datetime,
    *,
    of_alert: bool,
) -> None:
    """Inserts the missing cards in the locked destinations; `incidents` as for `lock_destinations`.

    The card of a critical incident, or of one that a person changed (not `of_alert`), goes before others, also where it
    waits already. An incident that a silence holds gets none until that has ended, and one that is folded into a storm
    gets none in that channel.
    """
    _CREATE_CARDS.execute(
        tx,
        {
            "organization_ids": list(organization_ids),
            "incident_ids": list(incidents),
            "workspaces": list(incidents.values()),
            "destination_ids": locked.ids,
            "now": now,
            "of_alert": of_alert,
        },
    )


_REDRAW_UNSEEN = PreparedStatement(
    "UPDATE post SET wanted_version = wanted_version + 1, due_at = greatest(due_at, %(now)s)"  # noqa: S608 - composed of constants
    " WHERE organization_id = ANY(%(organization_ids)s::bigint[]) AND incident_id = ANY(%(incident_ids)s::bigint[])"
    f" AND kind = '{PostKind.CARD}'"
    " AND (wanted_version <= drawn_version OR attempted_at IS NOT NULL)",
    {"now": "timestamptz"},
)


def redraw_unseen_changes(
    tx: Connection, organization_ids: Collection[int], incident_ids: Collection[int], now: datetime
) -> None:
    """Redraws cards that were inserted while their incident was being changed: the change did not see them.

    It is not known which these are. The others that are current are rendered again and found unchanged.
    """
    given = {"organization_ids": list(organization_ids), "incident_ids": list(incident_ids), "now": now}
    _REDRAW_UNSEEN.execute(tx, given)


def list_for_storms(tx: Connection, changes: Sequence[EntryChange], kind: ActivityType, now: datetime) -> set[int]:
    """Returns those of the changes of a kind that the threads of storms show: one for each storm in a minute.

    A storm may call for hundreds of incidents at once, or somebody own them. Each person gets a direct message about
    all of theirs.
    """
    if not changes:
        return set()
    rows = tx.exec_driver_sql(
        "SELECT DISTINCT ON (place.post_id) e.id"  # noqa: S608 - composed of constants
        " FROM unnest(%(ids)s::bigint[], %(organization_ids)s::bigint[], %(incident_ids)s::bigint[])"
        "  AS e(id, organization_id, incident_id)"
        f" CROSS JOIN LATERAL ({places_of_incident('e.organization_id', 'e.incident_id')}) place"
        " WHERE place.folded AND NOT EXISTS (SELECT FROM post m"
        " JOIN incident_activity a ON a.organization_id = m.organization_id AND a.id = m.activity_id"
        f"   WHERE m.organization_id = e.organization_id AND m.card_id = place.post_id AND a.type = %(kind)s"
        "    AND m.date_added > %(now)s - interval '1 minute')"
        " ORDER BY place.post_id, e.id",
        {
            "ids": [one.id for one in changes],
            "organization_ids": [one.organization_id for one in changes],
            "incident_ids": [one.incident_id for one in changes],
            "kind": int(kind),
            "now": now,
        },
    )
    return {row[0] for row in rows}


_CREATE_THREAD_POSTS = PreparedStatement(
    f"""
INSERT INTO post (organization_id, destination_id, kind, incident_id, activity_id, card_id, urgency, due_at, date_added)
SELECT c.organization_id, c.destination_id,
       CASE WHEN EXISTS (SELECT FROM thread_reply r
         WHERE r.organization_id = e.organization_id AND r.activity_id = e.activity_id
                         AND r.destination_id = c.destination_id)
            THEN '{PostKind.AMENDMENT}' ELSE '{PostKind.MIRROR}' END,
       e.incident_id, e.activity_id, c.id, %(urgency)s, %(now)s, %(now)s
FROM unnest(%(organization_ids)s::bigint[], %(activity_ids)s::bigint[], %(incident_ids)s::bigint[],
            %(thread_channel)s::text[], %(in_storms)s::boolean[])
  AS e(organization_id, activity_id, incident_id, thread_channel, in_storms)
CROSS JOIN LATERAL (
  SELECT post_id FROM ({places_of_incident("e.organization_id", "e.incident_id")}) place WHERE NOT folded OR e.in_storms
  UNION SELECT m.card_id FROM post m WHERE m.organization_id = e.organization_id AND m.activity_id = e.activity_id
    AND m.kind = '{PostKind.MIRROR}'
) place
JOIN post c ON c.organization_id = e.organization_id AND c.id = place.post_id
JOIN workspace w ON w.organization_id = c.organization_id
JOIN destination d ON d.workspace_id = w.id AND d.id = c.destination_id
WHERE d.channel_id IS DISTINCT FROM e.thread_channel ORDER BY e.activity_id, c.id
ON CONFLICT (card_id, activity_id, kind) WHERE card_id IS NOT NULL
DO UPDATE SET wanted_version = post.wanted_version + 1, due_at = %(now)s, failed_reason = NULL
""",  # noqa: S608 - composed of constants
    {"urgency": "smallint", "now": "timestamptz"},
)


def create_thread_posts(
    tx: Connection, changes: Sequence[EntryChange], in_storms: Collection[int], urgency: Urgency, now: datetime
) -> None:
    """Inserts or updates the posts that show entries of the log in the threads of their incidents' cards.

    An incident that is folded into a storm has the thread of the storm's message, which shows only the changes with
    the ids `in_storms`. A comment that began as a reply in a thread is not repeated
    there; a later change to it that was made elsewhere is posted there as an `amendment`. A message that shows an entry
    already is updated where it is. `changes` has each entry once.
    """
    parameters = {
        "in_storms": [change.id in in_storms for change in changes],
        "organization_ids": [change.organization_id for change in changes],
        "activity_ids": [change.activity_id for change in changes],
        "incident_ids": [change.incident_id for change in changes],
        "thread_channel": [change.thread_channel for change in changes],
        "urgency": int(urgency),
        "now": now,
    }
    _CREATE_THREAD_POSTS.execute(tx, parameters)
    if not any(change.thread_channel for change in changes):
        return
    # A change made in the thread itself may make an amendment there out of date.
    tx.exec_driver_sql(
        "UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = %(now)s"  # noqa: S608 - composed of constants
        " FROM workspace w JOIN destination d ON d.workspace_id = w.id"
        " JOIN unnest(%(organization_ids)s::bigint[], %(activity_ids)s::bigint[], %(thread_channel)s::text[])"
        "  AS e(organization_id, activity_id, thread_channel)"
        "  ON e.organization_id = w.organization_id AND e.thread_channel = d.channel_id"
        " WHERE p.organization_id = e.organization_id AND d.id = p.destination_id"
        f" AND p.activity_id = e.activity_id AND p.kind = '{PostKind.AMENDMENT}'",
        parameters,
    )


_REDRAWS = {
    Shown.DIRECT_MESSAGES: direct_messages.REDRAW,
    Shown.CALLS: call_messages.REDRAW,
    Shown.OFFERS: handoffs.REDRAW,
    Shown.REMINDERS: owner_reminders.REDRAW,
}


def redraw_messages(
    tx: Connection,
    organization_ids: Collection[int],
    incident_ids: Collection[int],
    locked: LockedDestinations,
    now: datetime,
) -> None:
    """Has the direct messages about these incidents updated, in the destinations that the caller has locked.

    Messages elsewhere were queued after that, and so show the change already.
    """
    given = {"organization_ids": list(organization_ids), "ids": sorted(incident_ids), "locked": locked.ids, "now": now}
    for shown, statement in _REDRAWS.items():
        if shown in locked.shown:
            statement.execute(tx, given)
