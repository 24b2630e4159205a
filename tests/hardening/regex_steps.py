"""How many steps a regular expression takes, counted by walking its parsed form as CPython's engine does: backtracking.

CPython's own engine is quicker, as it skips what cannot match; it takes no more steps than these.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from re import _constants, _parser
from typing import Any

names: Any = _constants
parser: Any = _parser
Node = tuple[Any, Any]
Next = Callable[[int], int | None]  # from a place in the text on; gives where the whole ends
_REPEATS = (names.MAX_REPEAT, names.MIN_REPEAT, names.POSSESSIVE_REPEAT)
_ONE = (names.LITERAL, names.NOT_LITERAL, names.ANY, names.IN)
_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    names.CATEGORY_DIGIT: str.isdigit,
    names.CATEGORY_NOT_DIGIT: lambda letter: not letter.isdigit(),
    names.CATEGORY_SPACE: str.isspace,
    names.CATEGORY_NOT_SPACE: lambda letter: not letter.isspace(),
    names.CATEGORY_WORD: lambda letter: letter.isalnum() or letter == "_",
    names.CATEGORY_NOT_WORD: lambda letter: not (letter.isalnum() or letter == "_"),
}


class TooManySteps(Exception):
    """The budget is used up."""


class Walk:
    """One expression at one text."""

    def __init__(self, pattern: re.Pattern[str], text: str, budget: int) -> None:
        self._nodes = list(parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))
        self._any_is_all = bool(pattern.flags & re.DOTALL)
        self._text = text
        self._budget = budget
        self.steps = 0

    def match(self, start: int, *, whole: bool) -> int | None:
        """Where a match that begins at `start` ends."""
        end = len(self._text)
        return self._seq(self._nodes, 0, start, lambda place: None if whole and place != end else place)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._budget:
            raise TooManySteps

    def _seq(self, nodes: Sequence[Node], number: int, place: int, then: Next) -> int | None:
        self._step()
        if number == len(nodes):
            return then(place)
        op, value = nodes[number]
        if op in _ONE:
            return self._seq(nodes, number + 1, place + 1, then) if self._fits(op, value, place) else None

        def go_on(behind: int) -> int | None:
            return self._seq(nodes, number + 1, behind, then)

        if op in _REPEATS:
            return self._repeat(op, value, place, go_on)
        if op is names.SUBPATTERN:
            return self._seq(list(value[3]), 0, place, go_on)
        if op is names.ATOMIC_GROUP:
            end = self._seq(list(value), 0, place, lambda behind: behind)
            return None if end is None else go_on(end)
        if op is names.BRANCH:
            ends = (self._seq(list(branch), 0, place, go_on) for branch in value[1])
            return next((end for end in ends if end is not None), None)
        if op in (names.ASSERT, names.ASSERT_NOT):
            behind, inner = value
            start = place - (parser_width(inner) if behind < 0 else 0)
            found = start >= 0 and self._seq(list(inner), 0, start, lambda end: end) is not None
            return go_on(place) if found == (op is names.ASSERT) else None
        assert op is names.AT, op
        return go_on(place) if self._at(value, place) else None

    def _repeat(self, op: Any, value: Any, place: int, then: Next) -> int | None:
        least, most, item = value
        nodes = list(item)
        limit = sys.maxsize if most is names.MAXREPEAT else int(most)
        if len(nodes) == 1 and nodes[0][0] in _ONE:
            one, letters = nodes[0]
            count = 0
            if op is names.MIN_REPEAT:
                while True:
                    end = then(place + count) if count >= least else None
                    if end is not None or count == limit or not self._fits(one, letters, place + count):
                        return end
                    count += 1
            while count < limit and self._fits(one, letters, place + count):
                count += 1
            for left in range(count, (count if op is names.POSSESSIVE_REPEAT else least) - 1, -1):
                if left < least:
                    break
                end = then(place + left)
                if end is not None:
                    return end
            return None
        if op is names.POSSESSIVE_REPEAT:
            count = 0
            while count < limit:
                end = self._seq(nodes, 0, place, lambda behind: behind)
                if end is None or end == place:
                    break
                place, count = end, count + 1
            return then(place) if count >= least else None
        return self._again(op, nodes, least, limit, 0, place, then)

    def _again(
        self, op: Any, nodes: Sequence[Node], least: int, limit: int, count: int, place: int, then: Next
    ) -> int | None:
        def more(behind: int) -> int | None:
            if behind == place and count >= least:
                return None
            return self._again(op, nodes, least, limit, count + 1, behind, then)

        ways: list[Callable[[], int | None]] = []
        if count < limit:
            ways.append(lambda: self._seq(nodes, 0, place, more))
        if count >= least:
            ways.append(lambda: then(place))
        for way in ways if op is names.MAX_REPEAT else reversed(ways):
            end = way()
            if end is not None:
                return end
        return None

    def _fits(self, op: Any, value: Any, place: int) -> bool:
        self._step()
        if place >= len(self._text):
            return False
        letter = self._text[place]
        if op is names.LITERAL:
            return bool(ord(letter) == value)
        if op is names.NOT_LITERAL:
            return bool(ord(letter) != value)
        if op is names.ANY:
            return self._any_is_all or letter != "\n"
        return _in(value, letter)

    def _at(self, value: Any, place: int) -> bool:
        if value in (names.AT_BEGINNING, names.AT_BEGINNING_STRING):
            return place == 0
        if value in (names.AT_END, names.AT_END_STRING):
            return place == len(self._text)
        word = _CATEGORIES[names.CATEGORY_WORD]
        sides = [0 <= side < len(self._text) and word(self._text[side]) for side in (place - 1, place)]
        return (sides[0] != sides[1]) == (value is names.AT_BOUNDARY)


def _in(members: Sequence[Node], letter: str) -> bool:
    wanted = True
    for op, value in members:
        if op is names.NEGATE:
            wanted = False
        elif (
            (op is names.LITERAL and ord(letter) == value)
            or (op is names.RANGE and value[0] <= ord(letter) <= value[1])
            or (op is names.CATEGORY and _CATEGORIES[value](letter))
        ):
            return wanted
    return not wanted


def parser_width(inner: Any) -> int:
    """How long what a look behind looks for is."""
    return int(inner.getwidth()[0])


def steps(pattern: re.Pattern[str], text: str, how: str, budget: int = 10**9) -> int:
    """How many steps `pattern.how(text)` takes, the budget at most: for `match` and `fullmatch` from the beginning,
    else for every match in the text.
    """
    walk = Walk(pattern, text, budget)
    try:
        if how in ("match", "fullmatch"):
            walk.match(0, whole=how == "fullmatch")
            return walk.steps
        place = 0
        while place <= len(text):
            end = walk.match(place, whole=False)
            place = place + 1 if end is None or end == place else end
    except TooManySteps:
        pass
    return walk.steps


def examples(pattern: re.Pattern[str]) -> Iterator[str]:
    """Short texts that parts of the expression match: what a text that is hard for it can be made of."""
    nodes = list(parser.parse(pattern.pattern, pattern.flags))
    pieces = [_example(node) for node in nodes]
    letters = sorted({letter for piece in pieces for letter in piece} | set("".join(_letters(nodes))))
    yield from letters
    yield from (one + other for one in letters[:10] for other in letters[:10])
    for start in range(len(pieces)):
        for end in range(start + 1, len(pieces) + 1):
            yield "".join(pieces[start:end])


def _letters(nodes: Sequence[Node]) -> Iterator[str]:
    for op, value in nodes:
        if op in _ONE:
            yield _example((op, value))
        elif op in _REPEATS:
            yield from _letters(list(value[2]))
        elif op is names.SUBPATTERN:
            yield from _letters(list(value[3]))
        elif op is names.BRANCH:
            for branch in value[1]:
                yield from _letters(list(branch))


def _example(node: Node) -> str:
    op, value = node
    if op is names.LITERAL:
        return chr(value)
    if op in _ONE:
        fits = (letter for letter in "a1 Z_.-:/@x\n~é" if op is names.ANY or _matches(op, value, letter))
        return next(fits, "")
    if op in _REPEATS:
        return "".join(_example(one) for one in list(value[2])) * max(1, int(value[0]))
    if op is names.SUBPATTERN:
        return "".join(_example(one) for one in list(value[3]))
    if op is names.BRANCH:
        return "".join(_example(one) for one in list(value[1][0]))
    return ""


def _matches(op: Any, value: Any, letter: str) -> bool:
    return ord(letter) != value if op is names.NOT_LITERAL else _in(value, letter)
