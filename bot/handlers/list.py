"""`list`: the incidents that the caller may see, filtered, page by page."""

from __future__ import annotations

from bot.handlers.call import Call
from bot.incidents import filters, search
from bot.messages import incident as messages
from bot.messages.blocks import Message
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Command, Press
from storage.queries import listing as queries
from storage.rows import Cursor


def command(call: Call, _ask: Command, words: str) -> Outcome:
    """`list [filters]`."""
    return Answer(_page(call, filters.parse(words), None))


def turn(call: Call, ask: Press) -> Outcome:
    """`Previous` and `Next`: the page takes the place of the one before."""
    words, cursor = messages.place_read(ask.value)
    return Answer(_page(call, filters.parse(words), cursor), replace=ask.ephemeral)


def _page(call: Call, query: filters.ListQuery, cursor: Cursor | None) -> Message:
    wanted = search.resolve(call.connection, call.access, query, call.now)
    page = queries.incident_page(
        call.connection, wanted, call.access.member_id, cursor=cursor, size=search.PAGE_SIZE
    )
    return messages.list_page(query, page, call.now, command=call.tools.command)
