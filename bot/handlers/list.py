"""`list`: the incidents that the caller may see, filtered, page by page."""

from __future__ import annotations

from bot.handlers.call import Call
from bot.incidents import filters, search
from bot.incidents.markup import readable
from bot.messages import incident as messages
from bot.messages.blocks import Message
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Command, Press
from storage.queries import listing as queries
from storage.rows import Cursor


def command(call: Call, _ask: Command, words: str) -> Outcome:
    """`list [filters]`."""
    return Answer(_page(call, filters.parse(readable(words)), None))


def turn(call: Call, ask: Press) -> Outcome:
    """`Previous` and `Next`: the page takes the place of the one before."""
    words, cursor = messages.place_read(ask.value)
    return Answer(_page(call, filters.parse(words), cursor), replace=ask.ephemeral)


def _page(call: Call, query: filters.ListQuery, cursor: Cursor | None) -> Message:
    wanted = search.resolve(call.connection, call.access, query, call.now)
    me = call.access.member_id
    page = queries.incident_page(call.connection, wanted, me, cursor=cursor, size=search.PAGE_SIZE)
    notice = None
    if cursor and not page.lines:
        page = queries.incident_page(call.connection, wanted, me, cursor=None, size=search.PAGE_SIZE)
        notice = "There is nothing more that way by now; this is the first page."
    return messages.list_page(query, page, call.now, notice=notice, command=call.tools.command)
