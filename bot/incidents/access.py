"""What one person may see and do: worked out once for a request, handed to every rule.

A member sees the incidents of the projects of their teams; with open membership, of every project; managers,
owners and superusers see every project of their organization. Who may see an incident may also acknowledge it,
comment on it, follow it and change its status (Sentry's rules for incidents).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from bot.incidents.errors import NotFound
from storage.queries.incidents import incident_head
from storage.rows import IncidentHead
from storage.values import ROLES_THAT_MANAGE_DIGESTS, Role

LARGEST_IDENTIFIER = 2**63 - 1  # what the column holds


@dataclass(frozen=True, slots=True)
class Access:
    """A member, and what they may see."""

    organization_id: int
    organization_name: str
    workspace_id: str
    member_id: int
    name: str
    email: str
    role: Role
    superuser: bool
    team_ids: frozenset[int]
    project_ids: tuple[int, ...]  # every project whose incidents they see
    timezone: str  # IANA name

    @property
    def manages_digests(self) -> bool:
        """Whether they may make and change digests, for the projects they see."""
        return self.superuser or self.role in ROLES_THAT_MANAGE_DIGESTS

    def incident(self, connection: Connection, identifier: int, *, lock: bool = False) -> IncidentHead:
        """The incident with that identifier, if they see it; with `lock`, its row is held.

        Raises NotFound.
        """
        head = None
        if 0 < identifier <= LARGEST_IDENTIFIER:
            head = incident_head(connection, self.organization_id, identifier, self.project_ids, lock=lock)
        if head is None:
            raise NotFound(identifier)
        return head
