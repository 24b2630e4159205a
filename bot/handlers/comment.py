"""`comment`, and `Edit` and `Delete` of a comment."""

from __future__ import annotations

from bot.handlers import activity, incident_menu, redraw, view
from bot.handlers.context import Context
from bot.handlers.redraw import Place, origin_of_press
from bot.handlers.verb import Verb
from bot.incidents import comments, lookup
from bot.incidents.errors import InvalidInput
from bot.incidents.words import parse_number, split_word
from bot.messages import answers, forms
from bot.messages.activity import parse_position
from bot.messages.answers import Confirmation
from bot.messages.blocks import button
from bot.messages.comments import render_editable
from bot.messages.help import Group
from bot.messages.incident import build_view_button
from bot.messages.incident_menu import Pick
from bot.slack.requests import Command, Press, Submission
from bot.slack.responses import Answer, Done, OpenForm, Response
from storage.rows import IncidentHead

USAGE = "comment N text"
PICK = Pick("comment", "Comment", asking="Comment on")


def handle_command(context: Context, request: Command, words: str) -> Response:
    """`comment N text`."""
    word, text = split_word(words)
    if not word:
        return incident_menu.offer_incidents(context, "comment", PICK)
    identifier = parse_number(word, USAGE, text)
    if not text:
        raise InvalidInput("A comment needs some text.", USAGE)
    if "@" in text or "<" in text:  # before anybody mentioned is looked up for it
        lookup.get_incident(context.connection, context.access, identifier)
    written = context.read_text(text)
    with context.write(once=request.key, in_one_message=not written.mentions_anybody) as tx:
        incident, _ = comments.add(tx, context.access, identifier, written, context.now)
    buttons = [build_view_button(identifier), button("Activity", "activity", str(identifier))]
    return Answer(answers.render_confirmation(Confirmation(_render_sentence(incident), buttons)))


def _render_sentence(incident: IncidentHead) -> str:
    return f"You commented on {answers.render_incident_title(incident)}."


def handle_press(context: Context, request: Press) -> Response:
    """`Comment`: a form whose text takes mentions."""
    identifier = parse_number(request.value, USAGE)
    incident = lookup.get_incident(context.connection, context.access, identifier)
    return OpenForm(forms.render_comment_form(identifier, incident.title, origin_of_press(request, identifier)))


def handle_submission(context: Context, request: Submission) -> Response:
    """The form of `Comment`, submitted."""
    identifier = parse_number(str(request.origin.get("n", "")), USAGE)
    lookup.get_incident(context.connection, context.access, identifier)
    written = context.read_rich_text(request.rich_text(forms.COMMENT) or {})
    with context.write(once=request.key) as tx:
        incident, _ = comments.add(tx, context.access, identifier, written, context.now)
        confirmation = Confirmation(_render_sentence(incident), on_card=True)
        return view.redraw_incident_at_origin(tx, context, request, incident, confirmation)


# --- Edit and Delete ---------------------------------------------------------------------------------------


def handle_edit_press(context: Context, request: Press) -> Response:
    """`Edit`: the form with the comment in it."""
    identifier, comment_id = parse_position(request.value)
    incident, comment = comments.get_own_comment(context.connection, context.access, identifier, comment_id)
    content = render_editable(comment.text, comment.rich_text, comment.mentions)
    return OpenForm(
        forms.render_edit_form(
            identifier,
            incident.title,
            content,
            origin_of_press(request, identifier, c=comment_id, v=comments.version_of(comment)),
        )
    )


def handle_edit_submission(context: Context, request: Submission) -> Response:
    """The form of `Edit`, submitted."""
    identifier, comment_id = parse_position(f"{request.origin.get('n', '')}:{request.origin.get('c', '')}")
    comments.get_own_comment(context.connection, context.access, identifier, comment_id)
    written = context.read_rich_text(request.rich_text(forms.COMMENT) or {})
    version = str(request.origin.get("v") or "")
    with context.write(once=request.key) as tx:
        incident = comments.edit(tx, context.access, identifier, comment_id, written, context.now, version=version)
        notice = f"You edited a comment on {answers.render_incident_title(incident)}."
        log = activity.render(tx, context, incident, notice=notice)
        place = Place.of_origin(request.origin)
        return Done(redraw.redraw_in_place(tx, context, request, place, log))


def handle_delete_press(context: Context, request: Press) -> Response:
    """`Delete`, after Slack has asked whether that is meant."""
    identifier, comment_id = parse_position(request.value)
    with context.write() as tx:
        incident = comments.delete(tx, context.access, identifier, comment_id, context.now)
        notice = f"You deleted a comment on {answers.render_incident_title(incident)}."
        log = activity.render(tx, context, incident, notice=notice)
        return redraw.redraw_in_place(tx, context, request, Place.of_press(request), log)


HANDLES = (
    Verb(
        name="comment",
        usage=USAGE,
        summary="Adds a comment. People and teams that you mention with @ are notified.",
        examples=("comment 12 @ada the replica is lagging",),
        brief="comment on it",
        group=Group.WORK,
        synonyms=("note", "say", "reply", "update"),
        command=handle_command,
        pick=PICK,
        buttons={
            "comment": handle_press,  # Comment
            "comment_edit": handle_edit_press,  # Edit
            "comment_delete": handle_delete_press,  # Delete
        },
        forms={"comment": handle_submission, "comment_edit": handle_edit_submission},
    ),
)
