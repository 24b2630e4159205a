"""Turns mentions in Slack's form into ids of the database. `bot.messages.comments` renders them back.

A stored comment is escaped mrkdwn with `<person:ID>` and `<team:ID>` for mentions, and the links and channels that
Slack wrote. Broadcasts (`@here`, `@channel`, `@everyone`) become plain text: a comment never notifies a whole channel.
A name that Slack left as text is looked up in `names`.
"""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from bot.incidents.errors import Refusal
from bot.incidents.markup import encode_entities, unescape
from bot.people import names, rich_text
from bot.people.identity import Identity
from bot.people.names import Named
from storage.queries import directory
from storage.reading import Reading

_TOKEN = re.compile(r"<([^<>\n]{1,3000})>")
_BROADCASTS = {"here": "@here", "channel": "@channel", "everyone": "@everyone", "group": "@group"}
# A mention of an unknown user is a call to Slack, so their number is limited.
MOST_MENTIONS = 20


class CannotMention(Refusal):
    """A mentioned user or group is no member or team of the organization."""

    def __init__(self, names: Iterable[str]) -> None:
        listed = ", ".join(sorted(set(names)))
        super().__init__(
            f"{listed} cannot be mentioned, because your organization has no such member or team. Nothing was changed."
        )


class TooManyMentions(Refusal):
    """A text has more than MOST_MENTIONS mentions."""

    def __init__(self) -> None:
        super().__init__(f"A comment can mention at most {MOST_MENTIONS} people and teams. Mention a team instead.")


class MentionReader:
    """Turns one text of a caller into a CommentText. One reader is for one text."""

    def __init__(
        self,
        identity: Identity,
        reading: Reading,
        access: Access,
        now: datetime,
        *,
        lenient: bool = False,
    ) -> None:
        """`lenient` is for messages that are posted already and cannot be refused: unknown and ambiguous mentions stay
        plain names, and are listed in `unknown` and `unclear`.
        """
        self._lenient = lenient
        self._identity = identity
        self._reading = reading
        self._access = access
        self._now = now
        self._people: dict[str, int] = {}
        self._teams: dict[str, int] = {}
        self.unknown: list[str] = []
        self.unclear: list[names.AmbiguousName] = []
        self._directory: names.Directory | None = None

    def text(self, written: str) -> CommentText:
        """The comment for the text of a command or message.

        Raises CannotMention, TooManyMentions, AmbiguousName, SlackAway.
        """
        quoted = names.find_code_and_links(written)
        parts: list[str] = []
        place = 0
        for token in _TOKEN.finditer(written):
            parts.append(self._plain(written, place, token.start(), quoted))
            parts.append(self._token(token[1]))
            place = token.end()
        parts.append(self._plain(written, place, len(written), quoted))
        return self._build("".join(parts).strip(), None)

    def block(self, block: Mapping[str, Any]) -> CommentText:
        """The comment for a rich text block. Raises InvalidInput, and what `text` raises."""
        stored = rich_text.sanitize(
            block, person=self._person, team=lambda usergroup: self._team(usergroup, ""), plain=self._split_names
        )
        return self._build(rich_text.to_mrkdwn(stored).strip(), stored)

    def _build(self, text: str, stored: dict[str, Any] | None) -> CommentText:
        if self.unknown and not self._lenient:
            raise CannotMention(self.unknown)
        return CommentText(text, frozenset(self._people.values()), frozenset(self._teams.values()), rich_text=stored)

    def _token(self, inside: str) -> str:
        body, _, label = inside.partition("|")
        kind, rest = body[:1], body[1:]
        if kind == "@":
            return self._mention("person", self._person(rest))
        if kind == "#" and rich_text.CHANNEL_ID.fullmatch(rest):
            return f"<#{rest}>"
        if kind == "!":
            name, _, argument = rest.partition("^")
            if name == "subteam":
                return self._mention("team", self._team(argument, label))
            if name in _BROADCASTS:
                return _BROADCASTS[name]
            return encode_entities(unescape(label or name))
        if rich_text.LINK.fullmatch(body):
            return f"<{inside}>"
        return encode_entities(unescape(f"<{inside}>"))

    def _mention(self, kind: str, id_: int) -> str:
        return f"<{kind}:{id_}>" if id_ else "@" + encode_entities(self.unknown[-1].removeprefix("The user group @"))

    def _person(self, user_id: str) -> int:
        if user_id not in self._people:
            self._count_mention()
            member_id, name = self._identity.find_member_of_user(
                self._reading, self._access.workspace_id, user_id, self._now
            )
            if member_id is None:
                self.unknown.append(name)
                return 0
            self._people[user_id] = member_id
        return self._people[user_id]

    def _team(self, usergroup: str, label: str) -> int:
        if usergroup not in self._teams:
            self._count_mention()
            team = directory.find_team_by_usergroup(self._reading.connection, self._access.organization_id, usergroup)
            if team is None:
                self.unknown.append(f"The user group {label or usergroup}")
                return 0
            self._teams[usergroup] = team.id
        return self._teams[usergroup]

    def _plain(self, written: str, start: int, end: int, quoted: list[tuple[int, int]]) -> str:
        """A part without tokens, as stored text: names become mentions, everything else is escaped."""
        pieces = self._pieces(written, start, end, quoted)
        return "".join(
            encode_entities(unescape(piece)) if isinstance(piece, str) else f"<{piece[0]}:{piece[1]}>"
            for piece in pieces
        )

    def _split_names(self, text: str) -> list[str | tuple[str, int]]:
        """A plain text in pieces: strings, and ("person" or "team", id) for each name."""
        return self._pieces(text, 0, len(text), names.find_code_and_links(text))

    def _pieces(self, text: str, start: int, end: int, quoted: list[tuple[int, int]]) -> list[str | tuple[str, int]]:
        pieces: list[str | tuple[str, int]] = []
        place = start
        # Searched in the whole text, because the character before a name may belong to a token.
        for found in names.find_names(text, start, end):
            if found.start() < place or _within(quoted, found.start()):
                continue
            meant = self._find_named(text, found, end)
            if meant is not None:
                named, behind = meant
                pieces += [text[place : found.start()], (named.kind, named.id)]
                place = behind
        return [piece for piece in (*pieces, text[place:end]) if piece]

    def _find_named(self, text: str, found: re.Match[str], end: int) -> tuple[Named, int] | None:
        if self._directory is None:
            self._directory = names.Directory(self._list_everybody())
        try:
            meant = self._directory.find(text, found, end)
        except names.AmbiguousName as several:
            if not self._lenient:
                raise
            self.unclear.append(several)
            return None
        if meant is not None:
            named = meant[0]
            known = self._people if named.kind == "person" else self._teams
            if named.id not in known.values():
                self._count_mention()
                known[f"@{named.id}"] = named.id
        return meant

    def _list_everybody(self) -> list[Named]:
        members = directory.list_members(self._reading.connection, self._access.organization_id)
        teams = directory.list_teams(self._reading.connection, self._access.organization_id)
        people = [Named.member(one.id, one.name, one.email) for one in members]
        return people + [Named.team(one.id, one.name, one.slug) for one in teams]

    def _count_mention(self) -> None:
        if len(self._people) + len(self._teams) + len(self.unknown) >= MOST_MENTIONS:
            raise TooManyMentions


def _within(spans: Sequence[tuple[int, int]], place: int) -> bool:
    """Whether an offset is in one of the spans, which are sorted and do not overlap."""
    before = bisect(spans, (place, math.inf)) - 1
    return before >= 0 and place < spans[before][1]
