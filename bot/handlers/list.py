"""`list`: the incidents that the caller may see, filtered, page by page, and shared with a channel."""

from __future__ import annotations

from dataclasses import replace

from bot.handlers import filter_fields, redraw
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import filters, members, search, sharing
from bot.incidents.errors import SharedChannel
from bot.incidents.filters import ListQuery
from bot.incidents.markup import decode_slack_text, require_storable
from bot.messages import forms
from bot.messages import incident as messages
from bot.messages.blocks import Message
from bot.messages.help import Group
from bot.slack.requests import Command, Press, Submission
from bot.slack.responses import Answer, Done, OpenForm, Response
from storage.prefetch import Prefetch
from storage.rows import Cursor, IncidentPage

_STORM = "storm"  # in the private metadata of the form


def prefetch(words: str) -> Prefetch | None:
    """What of the answer is read together with finding the caller. Raises InvalidInput."""
    return search.prefetch(_parse(words))


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`list [filters]`."""
    query = _parse(words)
    filter_fields.look_up_owner(context, query)
    return Answer(_render_page(context, search.name_owner(context.connection, context.access, query), None))


def show_list(context: Context, query: ListQuery) -> Response:
    """The first page of the incidents that a query finds, to the caller alone."""
    return Answer(_render_page(context, query, None))


def _parse(words: str) -> ListQuery:
    return filters.parse_query(decode_slack_text(members.keep_ids(require_storable(words))))


def turn_page(context: Context, request: Press) -> Response:
    """`Previous` and `Next`: the page takes the place of the one before."""
    words, cursor = messages.parse_position(request.value)
    return redraw.turn(request, _render_page(context, filters.parse_query(words), cursor))


def _render_page(context: Context, query: ListQuery, cursor: Cursor | None) -> Message:
    page, notice = _find_page(context, query, cursor), None
    if cursor and not page.lines:
        cursor = None
        page = _find_page(context, query, None)
        notice = "That page is gone, so this is the first one."
    return messages.render_list(
        query,
        page,
        context.now,
        cursor=cursor,
        notice=notice,
        command=context.services.command,
        sees_nothing=context.access.sees_nothing,
    )


def _find_page(context: Context, query: ListQuery, cursor: Cursor | None) -> IncidentPage:
    return search.list_incidents(
        context.connection, context.access, query, context.now, cursor=cursor, prefetched=context.prefetched
    )


def handle_share_press(context: Context, request: Press) -> Response:
    """`Share`: posts those incidents of the page whose projects name the channel."""
    words, cursor = messages.parse_position(request.value)
    query = filters.parse_query(words)
    list_filter = search.resolve_query(context.connection, context.access, query, context.now)
    project_ids = sharing.projects_to_share(context.connection, context.access, list_filter, request.channel_id)
    if not context.may_show_in(str(request.channel_id)):
        raise SharedChannel
    lines = sharing.incidents_to_share(context.connection, context.access, list_filter, project_ids, cursor=cursor)
    return Answer(messages.render_shared_list(query, lines, context.now, context.access.name), in_channel=True)


def handle_filter_press(context: Context, request: Press) -> Response:
    """`Filter`: the filters of this list in a form."""
    words, _ = messages.parse_position(request.value)
    query = filters.parse_query(words)
    # The form has no field for the storm, which the list keeps.
    origin = redraw.origin_of_press(request, **({} if query.storm is None else {_STORM: query.storm}))
    return OpenForm(_build_filter_form(context, query, origin))


def _build_filter_form(context: Context, query: ListQuery, origin: str) -> forms.Form:
    return forms.render_filter_form(query, filter_fields.list_choices(context), origin)


def handle_filter_submission(context: Context, request: Submission) -> Response:
    """The submitted form of `Filter`: the list is rendered with its filters."""
    storm = request.origin.get(_STORM)
    query = replace(filter_fields.read_query(request), storm=storm if isinstance(storm, int) else None)
    message = _render_page(context, query, None)
    place = redraw.Place.of_origin(request.origin)
    return Done(redraw.redraw_in_place(context.connection, context, request, place, message))


HANDLES = (
    Verb(
        name="list",
        usage=filters.USAGE,
        form=filters.FORM,
        brief="see what is open",
        summary="Shows incidents, newest first. `mine` are those that you own, `unowned` those that nobody owns. Other"
        " words search titles; put several words in quotes to find them together. `since:` leaves out what was resolved"
        " earlier, `until:` what started later.",
        examples=(
            "list",
            "list critical team:mine",
            'list all "card payments" since:7d',
            "list mine",
            "list seen:no",
        ),
        group=Group.FIND,
        synonyms=("ls", "incidents", "status", "open", "search", "find"),
        phrases=(
            *("open", "open incidents", "incidents", "status", "list incidents", "list open incidents"),
            *("whats open", "what is open", "whats open now", "anything open", "is anything open", "show open"),
            *("whats going on", "what is going on", "whats happening", "whats up", "whats broken", "whats down"),
        ),
        command=handle_command,
        prefetch=prefetch,
        buttons={
            "list_previous": turn_page,  # Previous
            "list_next": turn_page,  # Next
            "list_share": handle_share_press,  # Share
            "list_filter": handle_filter_press,  # Filter
        },
        forms={"list_filter": handle_filter_submission},
    ),
)
