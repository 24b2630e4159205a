"""Parses YAML into plain values with their line numbers. `file.py` decides what the values mean.

It works on the events of the parser, to refuse what a file of settings does not need before it costs anything: anchors
and aliases (a few lines can expand to gigabytes), tags, several documents, deep nesting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 5_000_000  # some 30,000 members
MAX_DEPTH = 12
# libyaml where the wheel has it: ten times as fast.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.resolver.Resolver()

Path = tuple[str | int, ...]
# Every scalar except true, false and null stays text: `name: 2024` is a name.
Value = str | bool | None | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong in the file."""

    line: int  # from 1
    where: str  # the field, "" for the file as a whole
    what: str

    def format(self, file: str) -> str:
        """One line for a person."""
        return f"{file}:{self.line}: {self.where + ': ' if self.where else ''}{self.what}"


class NotReadable(Exception):
    """The text cannot be read as YAML at all, or holds what such a file may not."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.mistake = Mistake(line, "", what)


@dataclass(slots=True)
class Tree:
    """A document: its plain value, the line of each part, and the duplicate keys as mistakes."""

    value: Value = None
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of a part, or of the nearest part around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def format_path(path: Path) -> str:
    """A path as a person would write it: `members[2].role`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def format_value(value: Any) -> str:
    """A value of the file as a mistake shows it."""
    if not isinstance(value, str | int | float):
        return "that"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 60 else text[:59] + "…"


def parse_tree(text: str) -> Tree:
    """Parses a document of settings. Raises NotReadable."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise NotReadable(1, f"is larger than {MAX_BYTES:,} bytes")
    try:
        return _build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise NotReadable(mark.line + 1 if mark else 1, f"is not YAML: {reason}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise NotReadable(line, f"is not YAML: {error.reason}") from None


def _build(text: str) -> Tree:
    tree = Tree()
    # What is open around the present event: its value, its path, and the key that waits for a value.
    stack: list[tuple[list[Value] | dict[str, Value], Path]] = []
    keys: list[tuple[str, int] | None] = []
    documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise NotReadable(line, "a second document begins here; there should be one")
            continue
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise NotReadable(line, "anchors (&) and aliases (*) are not supported here; write the value out")
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            stack.pop()
            keys.pop()
            continue
        if not isinstance(event, yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent):
            continue
        if event.tag is not None:
            raise NotReadable(line, "tags (!) are not supported here; write the plain value")

        if stack and isinstance(stack[-1][0], dict) and keys[-1] is None:
            if not isinstance(event, yaml.ScalarEvent):
                raise NotReadable(line, "the name of a field should be plain text")
            keys[-1] = (event.value, line)
            continue

        value: Value
        if isinstance(event, yaml.ScalarEvent):
            value = _parse_scalar(event)
        else:
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = _insert(tree, stack, keys, value, line)
        if isinstance(value, list | dict):
            if len(stack) == MAX_DEPTH:
                raise NotReadable(line, f"is nested more than {MAX_DEPTH} levels deep")
            stack.append((value, path))
            keys.append(None)
    return tree


def _insert(
    tree: Tree,
    stack: list[tuple[list[Value] | dict[str, Value], Path]],
    keys: list[tuple[str, int] | None],
    value: Value,
    line: int,
) -> Path:
    if not stack:
        tree.value = value
        return ()
    around, path = stack[-1]
    if isinstance(around, list):
        around.append(value)
        here: Path = (*path, len(around) - 1)
        tree.lines[here] = line
        return here
    waiting = keys[-1]
    assert waiting is not None
    keys[-1] = None
    key, key_line = waiting
    here = (*path, key)
    if key in around:
        first = tree.lines[here]
        tree.mistakes.append(Mistake(key_line, format_path(here), f"stands twice; first on line {first}"))
    around[key] = value
    tree.lines[here] = key_line
    return here


def _parse_scalar(event: yaml.ScalarEvent) -> Value:
    tag = _RESOLVER.resolve(  # type: ignore[no-untyped-call]
        yaml.ScalarNode, event.value, event.implicit
    )
    if tag == "tag:yaml.org,2002:null":
        return None
    if tag == "tag:yaml.org,2002:bool":
        return bool(yaml.SafeLoader.bool_values[event.value.lower()])
    text: str = event.value
    return text
