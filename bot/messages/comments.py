"""Renders stored comments for Slack: ids of the database become Slack's mentions, in text and in rich text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.incidents.markup import MENTION, escape, unescape
from bot.messages.blocks import format_date, link_urls
from storage.rows import ActivityEntry, Mentions

_TOKEN = re.compile(
    r"<(?:(person|team):(\d+)|#([A-Z0-9]+)(?:\|[^<>]*)?|((?:https?://|mailto:)[^<>|]+)(?:\|([^<>]*))?)>"
)


def render_comment(text: str, mentions: Mentions) -> str:
    """Stored text as mrkdwn. A mention is `<@U…>` or `<!subteam^S…>` if the Slack id is known, else a name."""

    def one(found: re.Match[str]) -> str:
        known = (mentions.people if found[1] == "person" else mentions.teams).get(int(found[2]))
        if known is None:
            return "@someone"
        if known.slack_id is None:
            return "@" + escape(known.name)
        return f"<@{known.slack_id}>" if found[1] == "person" else f"<!subteam^{known.slack_id}>"

    return link_urls(MENTION.sub(one, text))


def render_comment_with_names(text: str, mentions: Mentions) -> str:
    """Stored text as mrkdwn with names instead of mentions, so that it notifies nobody."""

    def one(found: re.Match[str]) -> str:
        known = (mentions.people if found[1] == "person" else mentions.teams).get(int(found[2]))
        return "@" + escape(known.name if known else "someone")

    return link_urls(MENTION.sub(one, text))


def render_delayed(entry: ActivityEntry) -> str:
    """Says that an entry is older than what is above it."""
    return f"delayed, from {format_date(entry.date_added)}"


def render_editable(text: str, rich_text: Mapping[str, Any] | None, mentions: Mentions) -> dict[str, Any]:
    """A stored comment as the initial value of a rich text field, with its mentions."""
    if rich_text is not None:
        return _use_slack_ids(rich_text, mentions)
    elements: list[dict[str, Any]] = []
    place = 0
    for token in _TOKEN.finditer(text):
        elements += _build_text(text[place : token.start()])
        elements.append(_build_element(token, mentions))
        place = token.end()
    elements += _build_text(text[place:])
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": elements or _build_text(" ")}],
    }


def _build_text(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": unescape(text)}] if text else []


def _build_element(token: re.Match[str], mentions: Mentions) -> dict[str, Any]:
    kind, id_, channel, url, label = token.groups()
    if kind:
        return _build_mention(kind, int(id_), mentions, {})
    if channel:
        return {"type": "channel", "channel_id": channel}
    link: dict[str, Any] = {"type": "link", "url": unescape(url)}
    return {**link, "text": unescape(label)} if label else link


def _build_mention(kind: str, id_: int, mentions: Mentions, style: dict[str, Any]) -> dict[str, Any]:
    known = (mentions.people if kind == "person" else mentions.teams).get(id_)
    if known is None or known.slack_id is None:
        return {"type": "text", "text": "@" + (known.name if known else "someone"), **style}
    if kind == "person":
        return {"type": "user", "user_id": known.slack_id, **style}
    return {"type": "usergroup", "usergroup_id": known.slack_id, **style}


def _use_slack_ids(element: Mapping[str, Any], mentions: Mentions) -> dict[str, Any]:
    style = {"style": element["style"]} if "style" in element else {}
    if element.get("type") == "user":
        return _build_mention("person", element["member_id"], mentions, style)
    if element.get("type") == "usergroup":
        return _build_mention("team", element["team_id"], mentions, style)
    if "elements" not in element:
        return dict(element)
    return {**element, "elements": [_use_slack_ids(inner, mentions) for inner in element["elements"]]}
