"""What one member may see and do. It is computed once for a request and passed to every rule.

A member sees the incidents of their teams' projects. With open membership, a member sees those of every project.
Managers, owners and superusers see every project of their organization. A member who sees an incident may also
acknowledge it, comment on it, follow it and change its status. These are Sentry's rules for incidents.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from storage.values import ROLES_THAT_MANAGE_DIGESTS, Role


@dataclass(frozen=True, slots=True)
class Access:
    """A member, and what they may see and do."""

    organization_id: int
    organization_name: str
    workspace_id: str
    member_id: int
    name: str
    email: str
    role: Role
    superuser: bool
    team_ids: frozenset[int]
    loaded_project_ids: tuple[int, ...] | None  # ids of the projects whose incidents they see; None: not read
    sees_all: bool  # whether that is every project of the organization
    shared_channels: bool  # cards may go to channels shared with another company
    timezone: str  # IANA name
    workspace_added: datetime | None = None  # when the workspace joined the organization; None: long ago

    @property
    def project_ids(self) -> tuple[int, ...]:
        """The ids of the projects whose incidents they see.

        Raises RuntimeError if they were not read: a prefetched result for a caller who sees all projects does not need
        them.
        """
        if self.loaded_project_ids is None:
            raise RuntimeError("which projects somebody sees has not been looked up")
        return self.loaded_project_ids

    @property
    def sees_nothing(self) -> bool:
        """Whether they see no incidents, because they are in no team with a project."""
        return not self.sees_all and not self.loaded_project_ids

    @property
    def manages_digests(self) -> bool:
        """Whether they may create and change digests for the projects that they see."""
        return self.superuser or self.role in ROLES_THAT_MANAGE_DIGESTS
