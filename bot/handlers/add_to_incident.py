"""The message shortcut "Add to incident": what somebody wrote becomes a comment, with its link."""

from __future__ import annotations

import re
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
from bot.incidents.markup import escape, shown, unescape
from bot.incidents.words import number
from bot.messages import answers, forms
from bot.messages.blocks import cut
from bot.slack.outcomes import Done, OpenForm, Outcome
from bot.slack.requests import Origin, Shortcut, Submission

log = structlog.get_logger(__name__)

# What the form's metadata can hold of the message beside everything else (3,000 characters in all).
_KEPT = 1800
_ENCODED = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")


def shortcut(_call: Call, ask: Shortcut) -> Outcome:
    """Asks which incident. The message is kept with the form: it may be gone when the form comes back."""
    message = ask.message or {}
    text = _plain(message)
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
    wrote = f"<{link}|wrote>" if link else "wrote"
    quoted = "\n".join("&gt; " + escape(line) for line in str(kept.get("x") or "").splitlines())
    return cut(f"{escape(author)} {wrote}:\n{quoted}", MAX_COMMENT_LENGTH)


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


def _plain(message: Mapping[str, Any]) -> str:
    """The words of a message; people and groups in it by name, so that nobody is called by quoting them."""

    def one(found: re.Match[str]) -> str:
        kind, target, label = found.groups()
        if kind in ("@", "#"):
            return kind + (label or "someone" if kind == "@" else label or "channel")
        if kind == "!":
            return "@" + (label or target.partition("^")[0]).lstrip("@")
        return f"{label} ({target})" if label and label != target else target

    files = [str(file.get("permalink") or "") for file in message.get("files") or []]
    text = _ENCODED.sub(one, str(message.get("text") or ""))
    return shown(unescape("\n".join([text, *filter(None, files)]))).strip()


HANDLES = (
    Feature(
        lookups={"incident": pick.suggest},
        forms={"add_to_incident": submission},
        shortcuts={"add_to_incident": shortcut},  # Add to incident
    ),
)
