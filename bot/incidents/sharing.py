"""Limits a list to what everybody in a channel may see: the incidents of projects that name the channel."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from bot.incidents import search
from bot.incidents.access import Access
from bot.incidents.errors import Refusal
from storage.queries import directory, incidents
from storage.queries.list_filter import ListFilter
from storage.rows import Cursor, IncidentLine


def projects_to_share(
    connection: Connection, access: Access, list_filter: ListFilter, channel_id: str | None
) -> Sequence[int]:
    """The ids of the projects in a filter that name the channel. Raises Refusal if there are none."""
    here: Sequence[int] = ()
    if channel_id:
        here = directory.filter_projects_by_channel(
            connection, access.organization_id, list_filter.project_ids, channel_id
        )
    if not here:
        raise Refusal("Nothing can be shared here, because none of your projects posts in this channel.")
    return here


def incidents_to_share(
    connection: Connection,
    access: Access,
    list_filter: ListFilter,
    project_ids: Sequence[int],
    *,
    cursor: Cursor | None,
) -> list[IncidentLine]:
    """The incidents on a page of the list that belong to these projects. Raises Refusal if there are none."""
    page = search.find_page(connection, access, list_filter, cursor=cursor)
    shared = incidents.filter_ids_in_projects(
        connection, access.organization_id, [line.id for line in page.lines], project_ids
    )
    lines = [line for line in page.lines if line.id in shared]
    if not lines:
        raise Refusal("No incident on this page belongs to a project that posts in this channel.")
    return lines
