"""Everything that the database knows of incidents, in a form that two moments can be compared in."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from storage.engine import Store

_ROWS = """
SELECT o.slug, i.identifier, 'incident', NULL::int, i.id, md5(i::text)
  FROM incident i JOIN organization o ON o.id = i.organization_id
UNION ALL SELECT o.slug, i.identifier, 'project', NULL, x.project_id, md5(x::text)
  FROM incident_project x JOIN incident i ON i.id = x.incident_id JOIN organization o ON o.id = i.organization_id
UNION ALL SELECT o.slug, i.identifier, 'seen', x.member_id, x.member_id, md5(x::text)
  FROM incident_seen x JOIN incident i ON i.id = x.incident_id JOIN organization o ON o.id = i.organization_id
UNION ALL SELECT o.slug, i.identifier, 'follows', x.member_id, x.member_id, md5(x::text)
  FROM incident_subscription x JOIN incident i ON i.id = x.incident_id JOIN organization o ON o.id = i.organization_id
UNION ALL SELECT o.slug, i.identifier, 'log', x.member_id, x.id, md5(x::text)
  FROM incident_activity x JOIN incident i ON i.id = x.incident_id JOIN organization o ON o.id = i.organization_id
"""

Incident = tuple[str, int]  # organization and number


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of an incident."""

    kind: str  # incident, project, seen, follows, log
    member_id: int | None  # whose it is
    row_id: int
    content: str


def facts(store: Store) -> dict[Incident, frozenset[Fact]]:
    """What is known of each incident."""
    found: dict[Incident, set[Fact]] = defaultdict(set)
    with store.read() as connection:
        for slug, identifier, *fact in connection.exec_driver_sql(_ROWS):
            found[slug, identifier].add(Fact(*fact))
    return {incident: frozenset(known) for incident, known in found.items()}


def changed(before: dict[Incident, frozenset[Fact]], after: dict[Incident, frozenset[Fact]]) -> set[Incident]:
    """The incidents of which something else is known, or which are new or gone."""
    return {one for one in before.keys() | after.keys() if before.get(one) != after.get(one)}
