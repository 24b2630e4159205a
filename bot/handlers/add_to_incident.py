"""The message shortcut "Add to incident": what somebody wrote becomes a comment, with its link."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.handlers import pick, view
from bot.handlers.call import Call
from bot.handlers.ownership import ROOM
from bot.handlers.verb import Feature
from bot.incidents import comments, lookup
from bot.incidents.comments import CommentText
from bot.incidents.errors import BadWords, Refusal
from bot.incidents.limits import MAX_COMMENT_LENGTH
from bot.incidents.markup import escape
from bot.incidents.words import number
from bot.messages import answers, forms
from bot.messages.blocks import MAX_METADATA, cut
from bot.people import quoting
from bot.slack.outcomes import Done, OpenForm, Outcome
from bot.slack.requests import Origin, Shortcut, Submission
from storage.queries import form_texts

# Of the form's metadata, which are claims of the client, what may stand in a link.
_CHANNEL = re.compile(r"[CDG][A-Z0-9]{2,20}")
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{6}")
# So much of a long message stays in the form's metadata, for a replica of an older version that may get the form.
_BEGINNING = 400


def shortcut(call: Call, ask: Shortcut) -> Outcome:
    """Asks which incident. The message is kept: it may be gone when the form comes back.

    What is too long for the form's metadata is kept in the database. Bytes are counted there, of which there are never
    fewer than characters, however Slack counts those beyond the basic plane.
    """
    message = ask.message or {}
    text = quoting.plain_text(message)[:MAX_COMMENT_LENGTH]
    if not text:
        raise BadWords("That message has no text that could become a comment.")
    kept = Origin(
        n=None,
        s="message",
        r=ask.response_url,
        c=ask.channel_id,
        t=message.get("ts"),
        p=message.get("thread_ts"),
        u=message.get("user"),
        x=text,
    )
    if len(kept.written().encode()) > MAX_METADATA - ROOM:
        with call.write() as tx:
            kept["k"] = form_texts.keep_text(tx, call.access.organization_id, call.access.member_id, text, call.now)
        kept["x"] = text[:_BEGINNING]
    return OpenForm(forms.add_to_incident(cut(escape(text), 2900), kept.written()))


def submission(call: Call, ask: Submission) -> Outcome:
    """The form, sent off: the comment is the caller's, and says whose words it holds."""
    identifier = number(ask.chosen("incident") or "", "Add to incident")
    lookup.incident(call.connection, call.access, identifier)
    text = _kept_text(call, ask.origin)
    written = CommentText(_comment(call, ask.origin, text))
    with call.write(once=ask.key) as tx:
        incident, _ = comments.add(tx, call.access, identifier, written, call.now)
        notice = f"The message is on {answers.name_of(incident)}."
        return Done(view.back(tx, call, ask, ask.origin, incident, notice))


def _kept_text(call: Call, kept: Mapping[str, Any]) -> str:
    if "k" not in kept:
        return str(kept.get("x") or "")
    text = form_texts.find_text(
        call.connection, call.access.organization_id, call.access.member_id, _text_id(kept["k"])
    )
    if text is None:
        raise Refusal("I no longer have that message. Please choose “Add to incident” in its menu once more.")
    return text


def _text_id(found: object) -> int:
    return found if isinstance(found, int) and 0 <= found < 2**63 else 0


def _comment(call: Call, kept: Mapping[str, Any], text: str) -> str:
    author = "Someone"
    if kept.get("u"):
        _, author = call.tools.identity.member_behind(call.reading, call.access.workspace_id, str(kept["u"]), call.now)
    link = _permalink(call, kept)
    return cut(quoting.quoted(author, link, text), MAX_COMMENT_LENGTH)


def _permalink(call: Call, kept: Mapping[str, Any]) -> str | None:
    installation = call.tools.clients.find(call.access.workspace_id)
    channel_id, ts = str(kept.get("c") or ""), str(kept.get("t") or "")
    if installation is None or not _CHANNEL.fullmatch(channel_id) or not _TS.fullmatch(ts):
        return None
    thread_ts = str(kept.get("p") or "")
    return installation.permalink(channel_id, ts, thread_ts if _TS.fullmatch(thread_ts) else None)


HANDLES = (
    Feature(
        lookups={"incident": pick.suggest},
        forms={"add_to_incident": submission},
        shortcuts={"add_to_incident": shortcut},  # Add to incident
    ),
)
