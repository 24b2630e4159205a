"""Names in a text as `@name`, which Slack did not turn into mentions: the members and teams that they mean.

A name that matches one member or team is a mention. One that matches several is an error that lists them. Any other `@`
is plain text.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from bot.incidents.errors import Refusal
from bot.incidents.words import shorten

# After a letter, `@` is part of an e-mail address; after a slash, of a path or link. Before a slash it is a package
# (`@types/node`), before another @ an address of a federated network.
_NAME = re.compile(r"(?<![\w@./\\:#&=+~$%|-])@(\w++(?:[._-]\w++)*+)(?![@/\\])")
# Names are not searched in code and URLs. The longest alternative comes first.
_CODE_OR_LINK = re.compile(r"```.*?```|`[^`\n]+`|\b[a-z][a-z0-9+.-]{1,20}://\S+", re.IGNORECASE | re.DOTALL)
# Slack's broadcasts, which are never mentions in a comment.
_BROADCASTS = frozenset({"here", "channel", "everyone", "group"})
_MOST_NAMED = 5
# The longest text that may be a name with blanks.
_FULL_NAME = re.compile(r"[\w .'’\u00a0-]{1,80}")
_MOST_WORDS = 5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Named:
    """A member or a team, with all names that `@…` may use."""

    kind: Literal["person", "team"]
    id: int
    name: str
    handles: frozenset[str]  # folded; one word each
    full_names: frozenset[str]  # folded; blanks may stand in them
    offered: tuple[str, ...]  # handles to suggest, the best first

    @classmethod
    def member(cls, id_: int, name: str, email: str) -> Named:
        """A member: first name; full name, with anything or nothing between its words; first part of the e-mail."""
        words = name.split()
        local = email.partition("@")[0].partition("+")[0]
        handles = {fold(name), fold(local), *(fold(word) for word in words[:1])}
        full = frozenset({fold(name)} - {""})
        return cls("person", id_, name, frozenset(handles - {""}), full, (".".join(words).lower(), local))

    @classmethod
    def team(cls, id_: int, name: str, slug: str) -> Named:
        """A team: by slug or name."""
        full = frozenset({fold(name), fold(slug)} - {""})
        return cls("team", id_, f"the team {name}", full, full, (slug,))


class AmbiguousName(Refusal):
    """A name matches several members or teams."""

    def __init__(self, typed: str, fitting: Iterable[Named], handle_of: Mapping[Named, str | None]) -> None:
        listed = sorted(fitting, key=lambda one: (one.kind, one.name))
        names = [f"{one.name} (@{handle_of[one]})" if handle_of[one] else one.name for one in listed[:_MOST_NAMED]]
        if len(listed) > _MOST_NAMED:
            names.append("others")
        self.candidates = f"{', '.join(names[:-1])} or {names[-1]}"
        self.typed = f"“@{shorten(typed)}”"
        super().__init__(
            f"Who is {self.typed}? It could be {self.candidates}. Nothing was changed. Write more of the name, or pick"
            " it from the list that Slack shows while you type."
        )


class Directory:
    """The members and teams of one organization, by name."""

    def __init__(self, everybody: Iterable[Named]) -> None:
        self._by_handle: dict[str, list[Named]] = {}
        self._by_full_name: dict[str, list[Named]] = {}
        for one in everybody:
            for handle in one.handles:
                self._by_handle.setdefault(handle, []).append(one)
            for name in one.full_names:
                self._by_full_name.setdefault(name, []).append(one)

    def find(self, text: str, found: re.Match[str], end: int) -> tuple[Named, int] | None:
        """The member or team for a name in a text, and the offset of the name's end, at most `end`; None: nobody.

        The longest match counts: `@Ada Obi` before `@Ada`. Raises AmbiguousName.
        """
        if found[1].lower() in _BROADCASTS:
            return None
        start = found.start(1)
        for place in _longer(text, start, found.end(), end):
            named = self._only(text[start:place], self._by_full_name)
            if named is not None:
                return named, place
        named = self._only(found[1], self._by_handle)
        return None if named is None else (named, found.end())

    def _only(self, typed: str, known: Mapping[str, list[Named]]) -> Named | None:
        fitting = known.get(fold(typed), [])
        if len(fitting) > 1:
            raise AmbiguousName(typed, fitting, {one: self._unambiguous(one) for one in fitting})
        return fitting[0] if fitting else None

    def _unambiguous(self, one: Named) -> str | None:
        fitting = (handle for handle in one.offered if self._by_handle.get(fold(handle)) == [one])
        return next(fitting, None)


def _longer(text: str, start: int, word_end: int, end: int) -> list[int]:
    """The offsets at which a name of several words may end, the farthest first."""
    window = _FULL_NAME.match(text, start, end)
    behind = max(word_end, window.end()) if window else word_end
    words = itertools.islice(_WORD.finditer(text, word_end, behind), _MOST_WORDS - 1)
    return [word.end() for word in words][::-1]


def fold(name: str) -> str:
    """A name for comparison: its letters and digits, without case and accents."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in plain if letter.isalnum())


def find_code_and_links(text: str) -> list[tuple[int, int]]:
    """The spans of code and URLs in a text: start and end of each. Empty for a text without `@`."""
    return [found.span() for found in _CODE_OR_LINK.finditer(text)] if "@" in text else []


def find_names(text: str, start: int, end: int) -> list[re.Match[str]]:
    """The matches of `@name` between `start` and `end`; group 1 is the name without the `@`."""
    return list(_NAME.finditer(text, start, end))
