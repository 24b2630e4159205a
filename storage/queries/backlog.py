"""What waits to be done, for `/metrics` and `doctor`: counts and ages, in one statement for everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from storage.queries.replicas import SEEN_WITHIN
from storage.values import Urgency


@dataclass(frozen=True, slots=True)
class Waiting:
    """Things that wait, and for how many seconds the one has that has waited longest."""

    count: int = 0
    oldest_s: float = 0.0


@dataclass(slots=True)
class Backlog:
    """What waits in a database."""

    delivery: dict[Urgency, Waiting] = field(default_factory=lambda: {urgency: Waiting() for urgency in Urgency})
    calls: Waiting = Waiting()
    digests: Waiting = Waiting()
    storms: int = 0  # that go on
    folded_incidents: int = 0  # incidents that their messages show instead of a card
    silences: int = 0  # in force
    silenced_incidents: int = 0  # open ones that a silence holds
    failed_destinations: int = 0  # conversations that Slack takes no messages for
    paused_workspaces: int = 0  # workspaces whose token Slack refuses
    replicas: dict[tuple[str, str], int] = field(default_factory=dict)  # by role and version


# Each part gives a name, two labels, a count, and the time since when the oldest waits.
# A change that no worker has expanded yet waits as what it mostly becomes. A message that waits for its first posting
# has waited since it was asked for; an update only since the last change, or since Slack refuses it.
_PARTS = (
    """
    SELECT 'delivery', p.urgency::text, '', count(*),
           min(CASE WHEN p.drawn_version = 0 THEN p.date_added ELSE LEAST(p.due_at, p.refused_at) END)
    FROM post p JOIN destination d ON d.id = p.destination_id
    WHERE p.wanted_version > p.drawn_version AND d.workspace_id = ANY(%(workspaces)s)
    GROUP BY p.urgency
    """,
    """
    SELECT 'delivery', CASE WHEN of_alert THEN %(of_alert)s ELSE %(of_person)s END::text, '', count(*), min(date_added)
    FROM outbox GROUP BY of_alert
    """,
    "SELECT 'calls', '', '', count(*), min(due_at) FROM call_step WHERE due_at <= %(now)s",
    """
    SELECT 'digests', '', '', count(*), min(next_fire_at) FROM digest
    WHERE next_fire_at <= %(now)s AND workspace_id = ANY(%(workspaces)s)
    """,
    """
    SELECT 'digests', '', '', count(*), min(f.fire_at) FROM digest_fire f
    JOIN digest d ON d.organization_id = f.organization_id AND d.id = f.digest_id
    WHERE f.state IN ('due', 'posted') AND f.state = 'due'  -- the first is the index's
      AND d.workspace_id = ANY(%(workspaces)s)
    """,
    "SELECT 'storms', '', '', count(*), NULL FROM storm WHERE date_ended IS NULL",
    """
    SELECT 'folded_incidents', '', '', count(*), NULL FROM storm s
    JOIN storm_incident f ON f.organization_id = s.organization_id AND f.storm_id = s.id
    WHERE s.date_ended IS NULL AND f.folded
    """,
    "SELECT 'silences', '', '', count(*), NULL FROM silence WHERE date_ended IS NULL",
    """
    SELECT 'silenced_incidents', '', '', count(*), NULL FROM silence s
    JOIN incident i ON i.organization_id = s.organization_id AND i.silence_id = s.id
    WHERE s.date_ended IS NULL AND i.status <> 2
    """,
    """
    SELECT 'failed_destinations', '', '', count(*), NULL FROM destination
    WHERE failed_reason IS NOT NULL AND workspace_id = ANY(%(workspaces)s)
    """,
    """
    SELECT 'paused_workspaces', '', '', count(*), NULL FROM workspace
    WHERE paused_reason IS NOT NULL AND id = ANY(%(workspaces)s)
    """,
    """
    SELECT 'replicas', role, version, count(*), NULL FROM replica WHERE date_seen > %(seen_since)s
    GROUP BY role, version
    """,
)
_FIND = " UNION ALL ".join(_PARTS)


def find_backlog(connection: Connection, workspaces: list[str], now: datetime) -> Backlog:
    """Returns what waits in these workspaces."""
    rows = connection.exec_driver_sql(
        _FIND,
        {
            "workspaces": workspaces,
            "now": now,
            "seen_since": now - SEEN_WITHIN,
            "of_alert": Urgency.NEWS,
            "of_person": Urgency.URGENT,
        },
    ).all()
    found = Backlog()
    for name, first, second, count, since in rows:
        waiting = Waiting(count, max(0.0, (now - since).total_seconds()) if since else 0.0)
        match name:
            case "delivery":
                urgency = Urgency(int(first))
                found.delivery[urgency] = _add(found.delivery[urgency], waiting)
            case "calls":
                found.calls = waiting
            case "digests":
                found.digests = _add(found.digests, waiting)
            case "storms":
                found.storms = count
            case "folded_incidents":
                found.folded_incidents = count
            case "silences":
                found.silences = count
            case "silenced_incidents":
                found.silenced_incidents = count
            case "failed_destinations":
                found.failed_destinations = count
            case "paused_workspaces":
                found.paused_workspaces = count
            case "replicas":
                found.replicas[first, second] = count
    return found


def add_backlogs(one: Backlog, other: Backlog) -> Backlog:
    """Returns what waits in two databases together. The processes are those of the first."""
    return Backlog(
        delivery={urgency: _add(one.delivery[urgency], other.delivery[urgency]) for urgency in Urgency},
        calls=_add(one.calls, other.calls),
        digests=_add(one.digests, other.digests),
        storms=one.storms + other.storms,
        folded_incidents=one.folded_incidents + other.folded_incidents,
        silences=one.silences + other.silences,
        silenced_incidents=one.silenced_incidents + other.silenced_incidents,
        failed_destinations=one.failed_destinations + other.failed_destinations,
        paused_workspaces=one.paused_workspaces + other.paused_workspaces,
        replicas=one.replicas,
    )


def _add(one: Waiting, other: Waiting) -> Waiting:
    return Waiting(one.count + other.count, max(one.oldest_s, other.oldest_s))
