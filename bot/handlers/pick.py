"""Which incident? Asked where a verb came without its number, and answered by menus that find one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.handlers.call import Call
from bot.incidents import filters, search
from bot.incidents.limits import MAX_TITLE_LENGTH
from bot.incidents.markup import storable
from bot.messages import picks
from bot.messages.picks import Pick
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Suggestion
from storage.queries import incident_menu, listing

OFFERED = 5  # most recent open incidents
LONGEST = MAX_TITLE_LENGTH + 25  # characters of a number with the longest title: nothing longer can fit
SUGGESTED = 20  # options while somebody types


def offer(call: Call, verb: str, pick: Pick) -> Outcome:
    """The caller's most recent open incidents to pick from, for a verb that lacks its number."""
    wanted = search.resolve(call.connection, call.access, filters.ListQuery(), call.now)
    page = listing.incident_page(call.connection, wanted, call.access.member_id, cursor=None, size=OFFERED)
    return Answer(picks.offer(verb, pick, page.lines, call.now))


def suggest(call: Call, ask: Suggestion) -> Sequence[Mapping[str, Any]]:
    """The options of a menu of incidents: the newest open ones, or those whose number or title fits."""
    typed = storable(ask.typed).strip().removeprefix("#")
    if not typed:
        wanted = search.resolve(call.connection, call.access, filters.ListQuery(), call.now)
        page = listing.incident_page(call.connection, wanted, call.access.member_id, cursor=None, size=search.PAGE_SIZE)
        return picks.options(page.lines)
    if len(typed) > LONGEST:
        return ()
    found = incident_menu.incidents_like(
        call.connection, call.access.organization_id, call.access.project_ids, typed, limit=SUGGESTED
    )
    return picks.options(found)
