"""The message shortcut "Add to incident": what somebody wrote becomes a comment, with its link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError

from bot.handlers import pick, view
from bot.handlers.call import Call
from bot.handlers.verb import Feature
from bot.incidents import comments, lookup
from bot.incidents.comments import CommentText
from bot.incidents.errors import BadWords
from bot.incidents.limits import MAX_COMMENT_LENGTH
from bot.incidents.markup import escape
from bot.incidents.words import number
from bot.messages import answers, forms
from bot.messages.blocks import cut
from bot.people import quoting
from bot.slack.outcomes import Done, OpenForm, Outcome
from bot.slack.requests import Origin, Shortcut, Submission

log = structlog.get_logger(__name__)

# What the form's metadata can hold of the message beside everything else (3,000 characters in all).
_KEPT = 1800


def shortcut(_call: Call, ask: Shortcut) -> Outcome:
    """Asks which incident. The message is kept with the form: it may be gone when the form comes back."""
    message = ask.message or {}
    text = quoting.plain_text(message)
    if not text:
        raise BadWords("That message has no text that could become a comment.")
    kept = Origin(
        n=None,
        s="message",
        r=ask.response_url,
        c=ask.channel_id,
        t=message.get("ts"),
        u=message.get("user"),
        x=text[:_KEPT],
    )
    return OpenForm(forms.add_to_incident(cut(escape(text), 2900), kept.written()))


def submission(call: Call, ask: Submission) -> Outcome:
    """The form, sent off: the comment is the caller's, and says whose words it holds."""
    identifier = number(ask.chosen("incident") or "", "Add to incident")
    lookup.incident(call.connection, call.access, identifier)
    written = CommentText(_comment(call, ask.origin))
    with call.write(once=ask.key) as tx:
        incident, _ = comments.add(tx, call.access, identifier, written, call.now)
        notice = f"The message is on {answers.name_of(incident)}."
        return Done(view.back(tx, call, ask, ask.origin, incident, notice))


def _comment(call: Call, kept: Mapping[str, Any]) -> str:
    author = "Someone"
    if kept.get("u"):
        _, author = call.tools.identity.member_behind(call.reading, call.access.workspace_id, str(kept["u"]), call.now)
    link = _permalink(call, str(kept.get("c") or ""), str(kept.get("t") or ""))
    return cut(quoting.quoted(author, link, str(kept.get("x") or "")), MAX_COMMENT_LENGTH)


def _permalink(call: Call, channel_id: str, ts: str) -> str | None:
    installation = call.tools.clients.find(call.access.workspace_id)
    if installation is None:
        return None
    call.reading.give_back()
    try:
        return str(installation.client.chat_getPermalink(channel=channel_id, message_ts=ts)["permalink"])
    except (SlackApiError, OSError) as error:
        log.info("a message has no link", error=str(error))
        return None


HANDLES = (
    Feature(
        lookups={"incident": pick.suggest},
        forms={"add_to_incident": submission},
        shortcuts={"add_to_incident": shortcut},  # Add to incident
    ),
)
