"""The message shortcut "Add to incident": a message becomes a comment, with its link."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.handlers import incident_menu, view
from bot.handlers.context import Context
from bot.handlers.ownership import OWNER_LENGTH
from bot.handlers.verb import Feature
from bot.incidents import comments, form_texts, lookup
from bot.incidents.comments import CommentText
from bot.incidents.errors import InvalidInput
from bot.incidents.limits import MAX_COMMENT_LENGTH
from bot.incidents.markup import encode_entities
from bot.incidents.words import parse_number
from bot.messages import answers, forms
from bot.messages.answers import Confirmation
from bot.messages.blocks import MAX_METADATA, truncate
from bot.messages.incident import build_view_button
from bot.people import quoting
from bot.slack.requests import Origin, Shortcut, Submission
from bot.slack.responses import OpenForm, Response

# The client sends the form's metadata, so only these values may be part of a link.
_CHANNEL = re.compile(r"[CDG][A-Z0-9]{2,20}")
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{6}")
# Characters of a long message that stay in the form's metadata, for a replica of an older version.
_EXCERPT_LENGTH = 400


def handle_shortcut(context: Context, request: Shortcut) -> Response:
    """Opens a form that asks for the incident. The text is saved: the message may be deleted before the submission.

    A text that is too long for the form's metadata is stored in the database. The limit is counted in bytes, which are
    never fewer than characters, however Slack counts emoji.
    """
    message = request.message or {}
    text = quoting.plain_text(message)[:MAX_COMMENT_LENGTH]
    if not text:
        raise InvalidInput("This message has no text to add.")
    origin = Origin(
        n=None,
        s="message",
        r=request.response_url,
        c=request.channel_id,
        t=message.get("ts"),
        p=message.get("thread_ts"),
        u=message.get("user"),
        x=text,
    )
    if len(origin.to_metadata().encode()) > MAX_METADATA - OWNER_LENGTH:
        with context.write() as tx:
            origin["k"] = form_texts.save_text(tx, context.access, text, context.now)
        origin["x"] = text[:_EXCERPT_LENGTH]
    return OpenForm(forms.render_add_to_incident_form(truncate(encode_entities(text), 2900), origin.to_metadata()))


def handle_submission(context: Context, request: Submission) -> Response:
    """The submitted form: adds a comment of the caller that quotes the message with its author.

    It is confirmed beside the message: in its thread, if it is a reply.
    """
    identifier = parse_number(request.chosen("incident") or "", "Add to incident")
    lookup.get_incident(context.connection, context.access, identifier)
    text = _get_text(context, request.origin)
    written = CommentText(_comment(context, request.origin, text))
    with context.write(once=request.key) as tx:
        incident, _ = comments.add(tx, context.access, identifier, written, context.now)
        sentence = f"You added this message to {answers.render_incident_title(incident)}."
        confirmation = Confirmation(sentence, [build_view_button(identifier)])
        return view.redraw_incident_at_origin(tx, context, request, incident, confirmation)


def _get_text(context: Context, origin: Mapping[str, Any]) -> str:
    if "k" not in origin:
        return str(origin.get("x") or "")
    return form_texts.get_text(context.connection, context.access, origin["k"])


def _comment(context: Context, origin: Mapping[str, Any], text: str) -> str:
    author = "Someone"
    if origin.get("u"):
        _, author = context.services.identity.find_member_of_user(
            context.reading, context.access.workspace_id, str(origin["u"]), context.now
        )
    link = _permalink(context, origin)
    return truncate(quoting.quote(author, link, text), MAX_COMMENT_LENGTH)


def _permalink(context: Context, origin: Mapping[str, Any]) -> str | None:
    channel_id, ts = str(origin.get("c") or ""), str(origin.get("t") or "")
    if not _CHANNEL.fullmatch(channel_id) or not _TS.fullmatch(ts):
        return None
    thread_ts = str(origin.get("p") or "")
    return context.permalink(channel_id, ts, thread_ts if _TS.fullmatch(thread_ts) else None)


HANDLES = (
    Feature(
        lookups={"incident": incident_menu.suggest_incidents},
        forms={"add_to_incident": handle_submission},
        shortcuts={"add_to_incident": handle_shortcut},  # Add to incident
    ),
)
