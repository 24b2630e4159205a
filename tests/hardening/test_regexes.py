"""The work of every regular expression grows with the text and no faster, whatever the text.

What an expression does shows in no count of lines, so it is walked here step by step, as the engine would backtrack,
over texts made of its own parts, in two lengths.
"""

from __future__ import annotations

import ast
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bot
import storage
from bot.digests.schedule import MAX_LENGTH
from tests.hardening.regex_steps import Walk, examples, steps

METHODS = ("match", "fullmatch", "search", "sub", "finditer", "findall", "split")
# Of what is used in more ways than one, or elsewhere than where it stands, the hardest.
ANYWHERE = "search"
# So many times is each part repeated, and four times as often; more times where that looks like a square: what has a
# longest length does until that is reached.
REPEATED = (15, 60, 480)
# A text four times as long may take so many times the steps: a square would take sixteen times.
MOST = 7
CONSTANT = 400
BUDGET = 100  # steps for each character of a text whose length has a limit
ROOMS = [Path(package.__file__).parent for package in (bot, storage) if package.__file__]
# Only ever applied to a schedule, whose length is looked at first.
BOUNDED = {"digests/words.py": MAX_LENGTH, "digests/schedule.py": MAX_LENGTH}


def expressions() -> Iterator[tuple[str, re.Pattern[str], str]]:
    """Each expression in the code: where it stands, itself, and how it is used."""
    for room in ROOMS:
        for path in sorted(room.rglob("*.py")):
            source = path.read_text("utf-8")
            if not re.search(r"\bre\.", source):
                continue
            tree = ast.parse(source)
            nodes = list(ast.walk(tree))
            file = str(path.relative_to(room))
            named = {
                node.value: node.targets[0].id
                for node in nodes
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            }
            for node in nodes:
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.args):
                    continue
                if node.func.attr == "compile":
                    used = re.findall(rf"\b{named[node]}\.(\w+)", source) if node in named else []
                    how = used[0] if len(set(used)) == 1 and named[node].startswith("_") else ANYWHERE
                elif node.func.attr in METHODS:
                    how = node.func.attr
                else:
                    continue
                yield f"{file}:{node.lineno}", re.compile(text_of(node.args[0]), flags_of(node)), how


def text_of(written: ast.expr) -> str:
    """The expression; of one with parts that are put in, with a word in the place of each."""
    if isinstance(written, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "tocsin" for one in written.values)
    assert isinstance(written, ast.Constant), ast.unparse(written)
    return str(written.value)


def flags_of(call: ast.Call) -> int:
    """The flags that a call names."""
    found = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
    return sum(int(getattr(re, flag)) for flag in ("IGNORECASE", "DOTALL", "MULTILINE", "ASCII") if flag in found)


def hardest(pattern: re.Pattern[str], how: str, longest: int | None) -> list[tuple[str, int, int]]:
    """The texts, by what they begin with and what is repeated in them, that take more steps than their length explains:
    what a quarter of the text takes, or where it can be no longer than `longest` a budget, and what it takes itself.
    """
    found = []
    parts = [part for part in dict.fromkeys(examples(pattern)) if part]
    for first in dict.fromkeys(("", *parts[-2:])):
        for part in parts:
            if longest is not None:
                text = (first + part * longest)[: longest - 1] + "\x00"
                count = steps(pattern, text, how, BUDGET * longest + 1)
                if count > BUDGET * longest:
                    found.append((f"{first}|{part}", BUDGET * longest, count))
            elif all(grown := _grown(pattern, how, first, part, times) for times in REPEATED) and grown:
                found.append((f"{first}|{part}", *grown))
    return found


def _grown(pattern: re.Pattern[str], how: str, first: str, part: str, times: int) -> tuple[int, int] | None:
    short = steps(pattern, first + part * times + "\x00", how)
    budget = short * MOST + CONSTANT
    long = steps(pattern, first + part * 4 * times + "\x00", how, budget + 1)
    return (short, long) if long > budget else None


def in_a_deep_stack(work: Callable[[], object]) -> None:
    """Runs it where a group that is repeated a thousand times may nest as deep."""

    def unmeasured() -> None:
        sys.settrace(None)  # no code of the bot runs here
        work()

    before, size = sys.getrecursionlimit(), threading.stack_size(256 * 1024 * 1024)
    sys.setrecursionlimit(200_000)
    thread = threading.Thread(target=unmeasured)
    thread.start()
    thread.join()
    threading.stack_size(size)
    sys.setrecursionlimit(before)


FOUND = list(expressions())


def test_they_are_found() -> None:
    assert len(FOUND) > 50
    assert {"match", "fullmatch", "sub", "search", "finditer"} <= {how for _, _, how in FOUND}


@pytest.mark.parametrize(("where", "pattern", "how"), FOUND, ids=[where for where, _, _ in FOUND])
def test_its_work_grows_with_the_text(where: str, pattern: re.Pattern[str], how: str) -> None:
    bad: list[tuple[str, int, int]] = []
    longest = BOUNDED.get(where.rpartition(":")[0])
    in_a_deep_stack(lambda: bad.extend(hardest(pattern, how, longest)))
    assert bad == [], pattern.pattern


@pytest.mark.parametrize(
    ("expression", "text", "few_and_many"),
    [
        (r"[a-z]+://", "a", (15, 60)),
        (r"x:[^@]+@", "x:", (15, 60)),
        (r"\s+$", " ", (15, 60)),
        (r"a*a*b", "a", (15, 60)),
        (r"(a|a)*b", "a", (3, 12)),
        (r"(a+)+b", "a", (3, 12)),
    ],
)
def test_the_count_sees_what_is_worse(expression: str, text: str, few_and_many: tuple[int, int]) -> None:
    pattern = re.compile(expression)
    short, long = (steps(pattern, text * count + "\x00", "search", 10**6) for count in few_and_many)
    assert long > short * MOST + CONSTANT


def test_the_walk_matches_what_the_engine_matches() -> None:
    for _, pattern, _how in FOUND:
        for part in examples(pattern):
            for text in (part, part * 3, part + "\x00"):
                real = pattern.match(text)
                walked = Walk(pattern, text, 10**6).match(0, whole=False)
                assert walked == (real.end() if real else None) or pattern.flags & re.IGNORECASE, (pattern, text)
