"""Coverage by probes (`tests/measuring.py`): what they note is what a trace function would have seen."""

from __future__ import annotations

import builtins
import sys
from types import CodeType, FrameType
from typing import Any

import pytest
from coverage.parser import PythonParser

from tests.probes import Arc, add_probes

LIST = "reached in a test"
SOURCE = '''"""A module."""
from __future__ import annotations

import contextlib


def decorate(function):
    return function


@decorate
@decorate
def loop(numbers):
    """A function."""
    unset: int
    found = None
    for number in numbers:
        if number < 0:
            continue
        elif number > 9:
            break
        if number == 5:
            found = number
    else:
        found = found or "none"
    while found and found != "none":
        found = None
    while True:
        if not found:
            break
        return found


def match(value):
    global last
    last = value
    match value:
        case 1 | 2:
            return "few"
        case (
            [first, *_]
        ) if first:
            return first
        case str():
            result = "text"
        case int():
            result = "many"
    return result


def end(value):
    match value:
        case 1:
            if value:
                return "one"
        case _:
            with contextlib.suppress(ValueError):
                if value == 2:
                    raise ValueError


def attempt(value):
    try:
        if value:
            raise KeyError(value)
    except (
        KeyError
    ):
        if value == 2:
            raise
    except ValueError:
        value = None
    else:
        if not value:
            value = 1
    finally:
        last = value
    with contextlib.suppress(KeyError):
        if value == 3:
            last = 3
    return last


class Class:
    kind: str
    if last := None:
        kind = "a"

    def method(self):
        if (
            self and
            last
        ):
            return 1


def run():
    {}
'''
CALLS = (
    "loop([])",
    "loop([-1, 3])",
    "loop([5])",
    "loop([10])",
    "match(1)",
    "match([1])",
    "match('')",
    "match(3)",
    "end(1); end(2)",
    "end(3)",
    "attempt(0)",
    "attempt(1)",
    "attempt(3)",
    "with contextlib.suppress(KeyError): attempt(2)",
    "match(1); Class().method()",
    "match(0); Class().method()",
)


def trace(code: CodeType) -> set[Arc]:
    """The arcs of a module that a trace function sees."""
    arcs: set[Arc] = set()

    def begin(frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != code.co_filename:
            return None
        outside = -frame.f_code.co_firstlineno
        last = outside

        def step(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal last
            if event in ("line", "return"):
                here = frame.f_lineno if event == "line" else outside
                arcs.add((last, here))
                last = here
            return step

        return step

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        exec(code, {"__name__": "traced"})  # noqa: S102
    finally:
        sys.settrace(before)
    return arcs


@pytest.mark.parametrize("call", CALLS)
def test_probes_note_the_lines_and_branches_that_a_trace_function_sees(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SOURCE.format(call) + "\n\nrun()\n"
    parser = PythonParser(text=source)
    parser.parse_source()
    branches = {line for line, exits in parser.exit_counts().items() if exits > 1}

    traced = parser.translate_arcs(trace(compile(source, "traced.py", "exec")))

    tree, arcs = add_probes(source, LIST)
    reached = [False] * len(arcs)
    monkeypatch.setattr(builtins, LIST, reached, raising=False)
    exec(compile(tree, "probed.py", "exec"), {"__name__": "probed"})  # noqa: S102
    noted = {arc for of_probe, one in zip(arcs, reached, strict=True) if one for arc in of_probe}

    def of_branches(seen: set[Arc]) -> set[Arc]:
        return {arc for arc in seen if arc[0] in branches and arc in parser.arcs()}

    assert of_branches(parser.translate_arcs(arc for arc in noted if arc[0] != arc[1])) == of_branches(traced)
    lines = {line for arc in traced for line in arc} & parser.statements
    assert parser.translate_lines(line for line, _ in noted) & parser.statements == lines
    assert len(of_branches(traced)) > 1
