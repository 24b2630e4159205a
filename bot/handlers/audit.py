"""`audit`: who changed members, roles, digests, silences, tokens and settings, for managers and owners."""

from __future__ import annotations

from bot.handlers import redraw
from bot.handlers.audit_words import put_into_words
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import audit as rules
from bot.incidents.audit import USAGE, AuditQuery
from bot.incidents.markup import decode_slack_text, require_storable
from bot.incidents.members import keep_ids
from bot.messages import audit as messages
from bot.messages.blocks import Message
from bot.messages.help import Group
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`audit [@person] [since:7d]`."""
    rules.check_may_read(context.access)
    query = rules.parse_query(require_storable(decode_slack_text(keep_ids(words))))
    return Answer(_render_page(context, query, 0))


def turn_page(context: Context, request: Press) -> Response:
    """`Previous` and `Next`."""
    person, since, page = messages.parse_position(request.value)
    query = AuditQuery(require_storable(person), require_storable(since))
    return redraw.turn(request, _render_page(context, query, page))


def _render_page(context: Context, query: AuditQuery, page: int) -> Message:
    rules.check_may_read(context.access)
    member_id = user_id = None
    if mention := rules.MENTION.fullmatch(query.person):
        user_id = mention[1]
        member_id, _ = context.find_mentioned(user_id)
    entries, more = rules.list_entries(
        context.connection, context.access, query, context.now, member_id=member_id, user_id=user_id, page=page
    )
    entries = put_into_words(context.connection, context.access, entries)
    workspace_id = context.access.workspace_id
    return messages.render_page(entries, query.person, query.since, page, more=more, workspace_id=workspace_id)


HANDLES = (
    Verb(
        name="audit",
        usage=USAGE,
        summary="Shows who changed members, roles, digests, silences, tokens and settings, and from where. With a"
        " person, what they did and what was done to them. For managers and owners.",
        examples=("audit", "audit @ben since:7d"),
        group=Group.MEMBERS,
        synonyms=("changes",),
        phrases=("audit log", "who changed what"),
        command=handle_command,
        buttons={
            "audit_previous": turn_page,  # Previous
            "audit_next": turn_page,  # Next
        },
    ),
)
