"""Menus of incidents: for a verb without its number, and for forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.handlers.context import Context
from bot.incidents import filters, search
from bot.incidents.limits import MAX_TITLE_LENGTH
from bot.incidents.markup import require_storable
from bot.messages import incident_menu
from bot.messages.incident_menu import Pick
from bot.slack.requests import OptionsRequest
from bot.slack.responses import Answer, Response

OFFERED = 5  # most recent open incidents
LONGEST = MAX_TITLE_LENGTH + 25  # characters: a number with the longest title
SUGGESTED = 20  # options while somebody types


def offer_incidents(context: Context, verb: str, pick: Pick) -> Response:
    """A menu of the caller's most recent open incidents, for a verb without its number."""
    page = search.list_incidents(context.connection, context.access, filters.ListQuery(), context.now, size=OFFERED)
    return Answer(incident_menu.render_offer(verb, pick, page.lines, context.now))


def suggest_incidents(context: Context, request: OptionsRequest) -> Sequence[Mapping[str, Any]]:
    """The options of a menu of incidents: the newest open ones, or those whose number or title matches."""
    typed = require_storable(request.typed).strip().removeprefix("#")
    if not typed:
        page = search.list_incidents(context.connection, context.access, filters.ListQuery(), context.now)
        return incident_menu.build_incident_options(page.lines)
    if len(typed) > LONGEST:
        return ()
    found = search.suggest_incidents(context.connection, context.access, typed, most=SUGGESTED)
    return incident_menu.build_incident_options(found)
