"""`comment`, and `Edit` and `Delete` of a comment."""

from __future__ import annotations

from bot.handlers import activity, pick, surface, view
from bot.handlers.call import Call
from bot.handlers.surface import origin
from bot.handlers.verb import Verb
from bot.incidents import comments, lookup
from bot.incidents.errors import BadWords
from bot.incidents.words import first_word, number
from bot.messages import answers, forms
from bot.messages.activity import place_read
from bot.messages.comments import editable
from bot.messages.help import Group
from bot.messages.picks import Pick
from bot.slack.outcomes import Answer, Done, OpenForm, Outcome
from bot.slack.requests import Command, Press, Submission

FORM = "comment N text"
PICK = Pick("comment", "Comment", asking="Comment on")


def command(call: Call, ask: Command, words: str) -> Outcome:
    """`comment N text`."""
    word, text = first_word(words)
    if not word:
        return pick.offer(call, "comment", PICK)
    identifier = number(word, FORM)
    if not text:
        raise BadWords("A comment needs some text.", FORM)
    lookup.incident(call.connection, call.access, identifier)  # before anybody mentioned is looked up for it
    written = call.written(text)
    with call.write(once=ask.key) as tx:
        incident, _ = comments.add(tx, call.access, identifier, written, call.now)
    return Answer(answers.about(f"Your comment is on {answers.name_of(incident)}.", incident))


def press(call: Call, ask: Press) -> Outcome:
    """`Comment`: a form whose text takes mentions."""
    identifier = number(ask.value, FORM)
    incident = lookup.incident(call.connection, call.access, identifier)
    return OpenForm(forms.comment(identifier, incident.title, origin(ask, identifier)))


def submission(call: Call, ask: Submission) -> Outcome:
    """The form of `Comment`, sent off."""
    identifier = number(str(ask.origin.get("n", "")), FORM)
    lookup.incident(call.connection, call.access, identifier)
    written = call.written_rich(ask.rich_text(forms.COMMENT) or {})
    with call.write(once=ask.key) as tx:
        incident, _ = comments.add(tx, call.access, identifier, written, call.now)
        notice = f"Your comment is on {answers.name_of(incident)}."
        return Done(view.back(tx, call, ask, ask.origin, incident, notice))


# --- Edit and Delete ---------------------------------------------------------------------------------------


def edit_press(call: Call, ask: Press) -> Outcome:
    """`Edit`: the form with the comment in it."""
    identifier, comment_id = place_read(ask.value)
    incident, comment = comments.own(call.connection, call.access, identifier, comment_id)
    content = editable(comment.text, comment.rich_text, comment.mentions)
    return OpenForm(
        forms.edit_comment(
            identifier,
            incident.title,
            content,
            origin(ask, identifier, c=comment_id, v=comments.version_of(comment)),
        )
    )


def edit_submission(call: Call, ask: Submission) -> Outcome:
    """The form of `Edit`, sent off."""
    identifier, comment_id = place_read(f"{ask.origin.get('n', '')}:{ask.origin.get('c', '')}")
    comments.own(call.connection, call.access, identifier, comment_id)
    written = call.written_rich(ask.rich_text(forms.COMMENT) or {})
    version = str(ask.origin.get("v") or "")
    with call.write(once=ask.key) as tx:
        incident = comments.edit(tx, call.access, identifier, comment_id, written, call.now, version=version)
        notice = f"Your comment on {answers.name_of(incident)} is changed."
        log = activity.drawn(tx, call, incident, notice=notice)
        return Done(surface.back(tx, call, ask, ask.origin, log, answers.about(notice, incident)))


def delete_press(call: Call, ask: Press) -> Outcome:
    """`Delete`, after Slack has asked whether that is meant."""
    identifier, comment_id = place_read(ask.value)
    with call.write() as tx:
        incident = comments.delete(tx, call.access, identifier, comment_id, call.now)
        notice = f"The comment on {answers.name_of(incident)} is deleted."
        log = activity.drawn(tx, call, incident, notice=notice)
        return surface.changed(tx, call, ask, log, answers.about(notice, incident))


HANDLES = (
    Verb(
        name="comment",
        usage=FORM,
        summary="Adds a comment. Mention a person or a team with @ and they are told.",
        examples=("comment 12 @ada the replica is lagging",),
        group=Group.WORK,
        synonyms=("note", "say", "reply", "update"),
        command=command,
        pick=PICK,
        buttons={
            "comment": press,  # Comment
            "comment_edit": edit_press,  # Edit
            "comment_delete": delete_press,  # Delete
        },
        forms={"comment": submission, "comment_edit": edit_submission},
    ),
)
