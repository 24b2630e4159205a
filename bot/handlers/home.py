"""The Home tab: the incidents that concern a person."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.handlers.context import Context
from bot.handlers.verb import Feature
from bot.incidents import following, search, silences
from bot.incidents.errors import InvalidInput
from bot.incidents.filters import ListQuery
from bot.messages import home as messages
from bot.people import oncall, overview
from bot.slack.requests import Press
from bot.slack.responses import PublishHome, Response

OWN_SHOWN = 5  # incidents that the caller owns, above the others


def handle_opened(context: Context, user_id: str, state: str) -> Response:
    """`app_home_opened`: `state` is the private metadata of the view that is shown."""
    return PublishHome(render(context.connection, context, state), user_id)


def turn_page(context: Context, request: Press) -> Response:
    """`My teams`, `Following`, `Not acknowledged`, `All open`, the severity, `Previous` and `Next`."""
    return PublishHome(render(context.connection, context, request.value), request.person.user_id)


def render(connection: Connection, context: Context, state: str) -> messages.HomeView:
    """Home in the given state: tab, severity and page. A malformed state is the first page of the first tab."""
    try:
        shown = messages.State.parse(state)
    except InvalidInput:
        shown = messages.State()
    query = ListQuery(
        show=shown.severity,
        following=shown.tab is messages.Tab.FOLLOWING,
        unseen=shown.tab is messages.Tab.UNSEEN,
    )
    list_filter = search.resolve_query(connection, context.access, query, context.now)
    if shown.tab is messages.Tab.MINE:
        list_filter = search.of_own_teams(connection, context.access, list_filter)
    page = search.find_page(connection, context.access, list_filter, cursor=shown.cursor)
    own = search.list_incidents(connection, context.access, ListQuery(owner="me"), context.now, size=OWN_SHOWN)
    return messages.render_home(
        shown,
        page,
        own.lines,
        context.access.organization_name,
        context.now,
        more=own.older is not None,
        on_call=oncall.list_on_call_for_home(connection, context.access),
        followed=[following.render(one) for one in following.list_followed(connection, context.access)],
        silences_ending=silences.count_ending_today(connection, context.access, context.now),
        sees_nothing=context.access.sees_nothing,
        administered=overview.find_counts(connection, context.access),
    )


HANDLES = (
    Feature(
        buttons={
            "home_previous": turn_page,  # Previous
            "home_next": turn_page,  # Next
            **{f"home_tab_{tab}": turn_page for tab in messages.Tab},  # My teams, Following, Not acknowledged, All open
            # Any severity, Warning, Critical
            **{f"home_severity_{severity}": turn_page for severity in messages.SEVERITY_TABS},
        }
    ),
)
