"""App Home: what concerns somebody at a glance, without asking."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from bot.handlers.call import Call
from bot.handlers.verb import Feature
from bot.incidents import search
from bot.incidents.errors import BadWords
from bot.incidents.filters import ListQuery
from bot.messages import home as messages
from bot.slack.outcomes import DrawHome, Outcome
from bot.slack.requests import Press
from storage.queries import directory, listing


def opened(call: Call, user_id: str, state: str) -> Outcome:
    """Somebody looks at Home; `state` is what it showed last."""
    return DrawHome(drawn(call.connection, call, state), user_id)


def turn(call: Call, ask: Press) -> Outcome:
    """`My teams`, `Following`, `Not acknowledged`, `All open`, the severity, `Previous` and `Next`."""
    return DrawHome(drawn(call.connection, call, ask.value), ask.person.user_id)


def drawn(connection: Connection, call: Call, state: str) -> messages.HomeView:
    """Home as `state` says; what is no state of ours shows the beginning."""
    try:
        shown = messages.State.read(state)
    except BadWords:
        shown = messages.State()
    query = ListQuery(
        show=shown.severity,
        following=shown.tab is messages.Tab.FOLLOWING,
        unseen=shown.tab is messages.Tab.UNSEEN,
    )
    wanted = search.resolve(connection, call.access, query, call.now)
    if shown.tab is messages.Tab.MINE and call.access.team_ids:
        mine = directory.projects_of_teams(connection, call.access.project_ids, call.access.team_ids)
        wanted = replace(wanted, project_ids=mine, organization_id=None)
    page = listing.incident_page(connection, wanted, call.access.member_id, cursor=shown.cursor, size=search.PAGE_SIZE)
    return messages.view(shown, page, call.access.organization_name, call.now)


HANDLES = (
    Feature(
        buttons={
            "home_previous": turn,  # Previous
            "home_next": turn,  # Next
            **{f"home_tab_{tab}": turn for tab in messages.Tab},  # My teams, Following, Not acknowledged, All open
            **{f"home_severity_{shown}": turn for shown in messages.SEVERITIES},  # Any severity, Warning, Critical
        }
    ),
)
