"""What managers and owners see of their organization at a glance, on Home and in the windows that it opens."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.people.membership import check_manages, manages
from storage.administration_rows import Counts, ProjectOverview, TeamOverview, TokenRow
from storage.queries import overview, tokens


def find_counts(connection: Connection, access: Access) -> Counts | None:
    """How much there is of what managers administer; None for somebody else."""
    return overview.count_everything(connection, access.organization_id) if manages(access) else None


def list_teams(connection: Connection, access: Access, *, skip: int, most: int) -> list[TeamOverview]:
    """The teams of the organization. Raises MayNotManageMembers."""
    check_manages(access)
    return overview.list_teams(connection, access.organization_id, access.workspace_id, skip=skip, most=most)


def list_projects(connection: Connection, access: Access, *, skip: int, most: int) -> list[ProjectOverview]:
    """The projects of the organization. Raises MayNotManageMembers."""
    check_manages(access)
    return overview.list_projects(connection, access.organization_id, skip=skip, most=most)


def list_tokens(connection: Connection, access: Access, *, skip: int, most: int) -> list[TokenRow]:
    """The intake tokens that have not been revoked. Raises MayNotManageMembers."""
    check_manages(access)
    return tokens.list_valid_tokens(connection, access.organization_id, skip=skip, most=most)
