"""Mentions, from Slack's form to ids of the database. The way back is drawn in `bot.messages.comments`.

A stored comment is Slack's mrkdwn with everything escaped, `<person:ID>` and `<team:ID>` for whom it mentions,
and the links and channels that Slack itself wrote. Broadcasts (`@here`, `@channel`, `@everyone`) become plain
words: a comment never calls a whole channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from bot.incidents.errors import Refusal
from bot.incidents.markup import escape, unescape
from bot.people.identity import Identity
from storage.queries import directory

_TOKEN = re.compile(r"<([^<>\n]{1,3000})>")
_LINK = re.compile(r"(https?://|mailto:)[^\s|<>]+", re.IGNORECASE)
_BROADCASTS = {"here": "@here", "channel": "@channel", "everyone": "@everyone", "group": "@group"}
# A person who is asked about costs a call to Slack at first contact; more than these are no mention but a list.
MOST_MENTIONS = 20


class CannotMention(Refusal):
    """Somebody who is mentioned is nobody in the organization."""

    def __init__(self, names: Iterable[str]) -> None:
        listed = ", ".join(sorted(set(names)))
        super().__init__(
            f"{listed} cannot be mentioned: there is no such member or team in your organization here."
            " Nothing was added."
        )


class TooManyMentions(Refusal):
    """More mentions than anybody means."""

    def __init__(self) -> None:
        super().__init__(
            f"A comment can mention at most {MOST_MENTIONS} people and teams; mention a team instead."
        )


class MentionReader:
    """Turns one text of one caller into a CommentText, and remembers whom it met on the way."""

    def __init__(self, identity: Identity, connection: Connection, access: Access, now: datetime) -> None:
        self._identity = identity
        self._connection = connection  # in autocommit: people may be met for the first time
        self._access = access
        self._now = now
        self._people: dict[str, int] = {}
        self._teams: dict[str, int] = {}
        self._unknown: list[str] = []

    def text(self, written: str) -> CommentText:
        """From text as a command or a message brings it. Raises CannotMention, TooManyMentions, SlackAway."""
        parts: list[str] = []
        place = 0
        for token in _TOKEN.finditer(written):
            parts.append(escape(unescape(written[place : token.start()])))
            parts.append(self._token(token[1]))
            place = token.end()
        parts.append(escape(unescape(written[place:])))
        return self._finished("".join(parts).strip(), None)

    def rich_text(self, block: Mapping[str, Any]) -> CommentText:
        """From what a rich text field holds. Raises CannotMention, TooManyMentions, SlackAway."""
        stored = self._kept(block)
        return self._finished(mrkdwn(stored).strip(), stored)

    def _finished(self, text: str, rich_text: dict[str, Any] | None) -> CommentText:
        if self._unknown:
            raise CannotMention(self._unknown)
        return CommentText(
            text, frozenset(self._people.values()), frozenset(self._teams.values()), rich_text=rich_text
        )

    def _token(self, inside: str) -> str:
        body, _, label = inside.partition("|")
        kind, rest = body[:1], body[1:]
        if kind == "@":
            return f"<person:{self._person(rest)}>"
        if kind == "#":
            return f"<#{rest}>"
        if kind == "!":
            name, _, argument = rest.partition("^")
            if name == "subteam":
                return f"<team:{self._team(argument, label)}>"
            if name in _BROADCASTS:
                return _BROADCASTS[name]
            return escape(unescape(label or name))
        if _LINK.fullmatch(body):
            return f"<{inside}>"
        return escape(unescape(f"<{inside}>"))

    def _person(self, user_id: str) -> int:
        if user_id not in self._people:
            self._one_more()
            member_id, name = self._identity.member_behind(
                self._connection, self._access.workspace_id, user_id, self._now
            )
            if member_id is None:
                self._unknown.append(name)
                return 0
            self._people[user_id] = member_id
        return self._people[user_id]

    def _team(self, usergroup: str, label: str) -> int:
        if usergroup not in self._teams:
            self._one_more()
            team = directory.team_by_usergroup(self._connection, self._access.organization_id, usergroup)
            if team is None:
                self._unknown.append(f"The user group {label or usergroup}")
                return 0
            self._teams[usergroup] = team.id
        return self._teams[usergroup]

    def _one_more(self) -> None:
        if len(self._people) + len(self._teams) + len(self._unknown) >= MOST_MENTIONS:
            raise TooManyMentions

    def _kept(self, element: Mapping[str, Any]) -> dict[str, Any]:
        """A rich text element with ids of the database in place of Slack's, and no broadcast."""
        kind = element.get("type")
        style = {"style": element["style"]} if isinstance(element.get("style"), dict | str) else {}
        if kind == "user":
            return {"type": "user", "member_id": self._person(str(element.get("user_id"))), **style}
        if kind == "usergroup":
            return {"type": "usergroup", "team_id": self._team(str(element.get("usergroup_id")), ""), **style}
        if kind == "broadcast":
            return {"type": "text", "text": f"@{element.get('range')}", **style}
        kept = {key: value for key, value in element.items() if key not in ("block_id", "elements")}
        if isinstance(element.get("elements"), list):
            kept["elements"] = [self._kept(inner) for inner in element["elements"]]
        return kept


# --- rich text as mrkdwn -----------------------------------------------------------------------------------

_BULLETS = ("•", "◦", "▪")
_MARKS = (("bold", "*"), ("italic", "_"), ("strike", "~"), ("code", "`"))


def mrkdwn(block: Mapping[str, Any]) -> str:
    """Stored rich text as stored mrkdwn, line by line as Slack shows it."""
    return "\n".join(_block_lines(block)).strip("\n")


def _block_lines(block: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for element in block.get("elements", []):
        kind = element.get("type")
        inner = element.get("elements", [])
        if kind == "rich_text_list":
            lines += _list_lines(element)
        elif kind == "rich_text_preformatted":
            lines.append("```" + "".join(_inline(one, styled=False) for one in inner) + "```")
        else:
            text = "".join(_inline(one) for one in inner).removesuffix("\n")
            prefix = "&gt; " if kind == "rich_text_quote" else ""
            lines += [prefix + line for line in text.split("\n")]
    return lines


def _list_lines(element: Mapping[str, Any]) -> list[str]:
    indent = int(element.get("indent") or 0)
    first = int(element.get("offset") or 0) + 1
    lines = []
    for place, item in enumerate(element.get("elements", []), first):
        ordered = element.get("style") == "ordered"
        mark = f"{place}." if ordered else _BULLETS[min(indent, len(_BULLETS) - 1)]
        lines.append("    " * indent + f"{mark} " + "".join(_inline(one) for one in item.get("elements", [])))
    return lines


def _inline(element: Mapping[str, Any], *, styled: bool = True) -> str:
    kind = element.get("type")
    if kind == "text":
        text = escape(str(element.get("text", "")))
        return _styled(text, element.get("style")) if styled else text
    if kind == "link":
        return _styled(_link(element), element.get("style")) if styled else escape(str(element.get("url", "")))
    if kind == "user":
        return f"<person:{element['member_id']}>"
    if kind == "usergroup":
        return f"<team:{element['team_id']}>"
    if kind == "channel":
        return f"<#{element.get('channel_id')}>"
    if kind == "emoji":
        return f":{element.get('name')}:"
    if kind == "color":
        return escape(str(element.get("value", "")))
    if kind == "date":
        return escape(str(element.get("fallback") or ""))
    return ""


def _link(element: Mapping[str, Any]) -> str:
    url = str(element.get("url", "")).replace("|", "%7C").replace("<", "%3C").replace(">", "%3E")
    text = escape(str(element.get("text") or "")).replace("|", "¦")
    if not _LINK.fullmatch(url):
        return text or escape(url)
    return f"<{url}|{text}>" if text else f"<{url}>"


def _styled(text: str, style: object) -> str:
    if not isinstance(style, Mapping) or not text.strip() or "\n" in text:
        return text
    # A mark is one only where it touches the word.
    body = text.strip()
    before, _, after = text.partition(body)
    for name, mark in _MARKS:
        if style.get(name):
            body = f"{mark}{body}{mark}"
    return before + body + after
