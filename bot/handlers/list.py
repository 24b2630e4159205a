"""`list`: the incidents that the caller may see, filtered, page by page, and shared with a channel."""

from __future__ import annotations

from bot.handlers import surface
from bot.handlers.call import Call
from bot.handlers.verb import Verb
from bot.incidents import filters, search
from bot.incidents.errors import Refusal, SharedChannel
from bot.incidents.filters import ListQuery
from bot.incidents.markup import readable, storable
from bot.incidents.words import tokens
from bot.messages import forms
from bot.messages import incident as messages
from bot.messages.blocks import Message
from bot.messages.help import Group
from bot.slack.outcomes import Answer, Done, OpenForm, Outcome
from bot.slack.requests import Command, Press, Submission
from storage.queries import directory, incidents, listing
from storage.queries.access import Ahead
from storage.rows import Cursor, IncidentPage


def ahead(words: str) -> Ahead | None:
    """What of the answer can be looked up together with who asks."""
    return search.ahead(filters.parse(readable(storable(words))))


def command(call: Call, _ask: Command, words: str) -> Outcome:
    """`list [filters]`."""
    return Answer(_page(call, filters.parse(readable(storable(words))), None))


def turn(call: Call, ask: Press) -> Outcome:
    """`Previous` and `Next`: the page takes the place of the one before."""
    words, cursor = messages.place_read(ask.value)
    return surface.look(ask, _page(call, filters.parse(words), cursor), replace=True)


def _page(call: Call, query: ListQuery, cursor: Cursor | None) -> Message:
    page, notice = _found(call, query, cursor), None
    if cursor and not page.lines:
        cursor = None
        page = _found(call, query, None)
        notice = "There is nothing more that way by now; this is the first page."
    return messages.list_page(query, page, call.now, cursor=cursor, notice=notice, command=call.tools.command)


def _found(call: Call, query: ListQuery, cursor: Cursor | None) -> IncidentPage:
    if call.ahead is not None and search.is_plain(query):
        return listing.page_ahead(call.ahead, size=search.PAGE_SIZE)
    wanted = search.resolve(call.connection, call.access, query, call.now, call.ahead)
    return listing.incident_page(call.connection, wanted, call.access.member_id, cursor=cursor, size=search.PAGE_SIZE)


def share(call: Call, ask: Press) -> Outcome:
    """`Share`: the page for everybody in the channel, as far as it is about projects that name the channel."""
    words, cursor = messages.place_read(ask.value)
    query = filters.parse(words)
    wanted = search.resolve(call.connection, call.access, query, call.now)
    here: list[int] = []
    if ask.channel_id:
        here = directory.projects_in_channel(call.connection, wanted.project_ids, ask.channel_id)
    if not here:
        raise Refusal("No project whose incidents you see names this channel, so nothing can be shared here.")
    if not call.may_show_in(str(ask.channel_id)):
        raise SharedChannel
    page = listing.incident_page(call.connection, wanted, call.access.member_id, cursor=cursor, size=search.PAGE_SIZE)
    fitting = incidents.ids_in_projects(call.connection, [line.id for line in page.lines], here)
    lines = [line for line in page.lines if line.id in fitting]
    if not lines:
        raise Refusal("Nothing on this page belongs to a project that names this channel.")
    return Answer(messages.shared_page(query, lines, call.now, call.access.name), in_channel=True)


def filter_press(call: Call, ask: Press) -> Outcome:
    """`Filter`: the filters of this list in a form."""
    words, _ = messages.place_read(ask.value)
    return OpenForm(_filter_form(call, filters.parse(words), surface.origin(ask)))


def _filter_form(call: Call, query: ListQuery, origin: str) -> forms.Form:
    projects = directory.projects(call.connection, call.access.project_ids)
    return forms.filter_list(query, [(one.slug, one.name) for one in projects], origin)


def filter_submission(call: Call, ask: Submission) -> Outcome:
    """The form of `Filter`, sent off: the list is drawn with its filters."""
    only = ask.checked("only")
    parts = [ask.chosen("show") or "open"]
    for key, block in (("team", "team"), ("env", "env"), ("since", "since"), ("until", "until")):
        value = " ".join(storable(ask.text(block)).split()).replace('"', "")
        if value:
            parts.append(f'{key}:"{value}"')
    if ask.chosen("project"):
        parts.append(f"project:{ask.chosen('project')}")
    parts += ["seen:no"] if "unseen" in only else []
    parts += ["following:yes"] if "following" in only else []
    query = filters.parse(" ".join(parts))
    words = [token.text for token in tokens(storable(ask.text("words")))]
    query = filters.with_words(query, words)
    message = _page(call, query, None)
    return Done(surface.back(call.connection, call, ask, ask.origin, message, message))


HANDLES = (
    Verb(
        name="list",
        usage=filters.FORM,
        summary="Incidents that you may see, newest first, ten a page. Words look in titles; quotes keep words"
        " together. `since` leaves out what closed before, `until` what started after.",
        examples=("list", "list critical team:mine", 'list all "card payments" since:7d', "list seen:no"),
        group=Group.READ,
        synonyms=("ls", "mine", "incidents", "status", "open", "search", "find"),
        command=command,
        ahead=ahead,
        buttons={
            "list_previous": turn,  # Previous
            "list_next": turn,  # Next
            "list_share": share,  # Share
            "list_filter": filter_press,  # Filter
        },
        forms={"list_filter": filter_submission},
    ),
)
