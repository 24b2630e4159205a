"""The words in which the other modules of this package say what Slack accepts: text, number, list, object.

Each function here takes the limits of a value and returns a check. Checks are built once, when the package is
imported, and run on every payload; a check never raises, whatever JSON it is given. What a section or a
button may hold is not known here.

The sentences follow those that Slack puts into `response_metadata.messages`; a limit is told the way Slack
tells it, by the first length that is too much (`must be less than 3001 characters`).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

Surface: TypeAlias = Literal["message", "modal", "home"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason for which Slack would refuse a payload."""

    pointer: str
    """JSON pointer (RFC 6901) to the value; for a missing or an unknown field, to the object around it."""
    message: str

    def __str__(self) -> str:
        """The line that Slack would put into `response_metadata.messages`."""
        return f"[ERROR] {self.message} [json-pointer:{self.pointer}]"


@dataclass(slots=True)
class Visit:
    """What one run over one payload has seen and found."""

    surface: Surface
    ephemeral: bool = False
    problems: list[Problem] = field(default_factory=list)
    block_ids: set[str] = field(default_factory=set)
    """Of the whole message or view: a `block_id` is unique there."""
    action_ids: set[str] = field(default_factory=set)
    """Of the block being looked at: an `action_id` is unique there."""
    in_input: bool = False
    """Whether the element being looked at stands in an input block."""
    inputs: list[str] = field(default_factory=list)
    """Pointers of the input blocks."""
    focused: int = 0
    """Elements that want the focus when a view opens."""
    markdown_length: int = 0
    """Characters of all markdown blocks together."""
    tables: int = 0
    charts: int = 0
    table_length: int = 0
    """Characters of the cells of all tables together."""

    def report(self, pointer: str, message: str) -> None:
        self.problems.append(Problem(pointer, message))


Check: TypeAlias = Callable[[object, str, Visit], None]
"""Looks at a value that stands at a pointer and reports what is wrong with it."""

Rule: TypeAlias = Callable[[Mapping[str, object], str, Visit], None]
"""Looks at what several fields of one object say together; the fields themselves may be wrong."""


def escaped(token: str) -> str:
    """A key as it is written in a JSON pointer (RFC 6901, section 3)."""
    return token.replace("~", "~0").replace("/", "~1")


def text(least: int = 1, most: int | None = None) -> Check:
    """A string of `least` to `most` characters, counted as given."""

    def check(value: object, at: str, visit: Visit) -> None:
        if not isinstance(value, str):
            visit.report(at, "must provide a string")
        elif len(value) < least:
            visit.report(at, f"must be more than {least - 1} characters")
        elif most is not None and len(value) > most:
            visit.report(at, f"must be less than {most + 1} characters")

    return check


def url(most: int = 3000, schemes: Collection[str] | None = None) -> Check:
    """An absolute URL of at most `most` characters; with `schemes`, of one of these."""
    length = text(most=most)

    def check(value: object, at: str, visit: Visit) -> None:
        length(value, at, visit)
        if not isinstance(value, str) or not value:
            return
        try:
            parts = urlsplit(value)
        except ValueError:
            visit.report(at, "invalid url")
            return
        hosted = bool(parts.netloc) or parts.scheme not in ("http", "https")
        known = schemes is None or parts.scheme in schemes
        if not (parts.scheme and hosted and known):
            visit.report(at, "invalid url")

    return check


def matching(accepts: Callable[[str], bool], message: str) -> Check:
    """A string that `accepts` accepts."""

    def check(value: object, at: str, visit: Visit) -> None:
        if not isinstance(value, str):
            visit.report(at, "must provide a string")
        elif not accepts(value):
            visit.report(at, message)

    return check


def boolean(value: object, at: str, visit: Visit) -> None:
    if not isinstance(value, bool):
        visit.report(at, "must provide a boolean")


def integer(least: int | None = None, most: int | None = None) -> Check:
    def check(value: object, at: str, visit: Visit) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            visit.report(at, "must provide an integer")
        elif least is not None and value < least:
            visit.report(at, f"must be greater than {least - 1}")
        elif most is not None and value > most:
            visit.report(at, f"must be less than {most + 1}")

    return check


def number(value: object, at: str, visit: Visit) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        visit.report(at, "must provide a number")


def one_of(*allowed: str) -> Check:
    def check(value: object, at: str, visit: Visit) -> None:
        if not isinstance(value, str):
            visit.report(at, "must provide a string")
        elif value not in allowed:
            visit.report(at, "must be a valid enum value")

    return check


def either(allowed: tuple[int, ...]) -> Check:
    """One of a few integers."""

    def check(value: object, at: str, visit: Visit) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
            visit.report(at, "must be a valid enum value")

    return check


def array(item: Check, least: int = 1, most: int | None = None) -> Check:
    """A list of `least` to `most` items; items beyond the limit are not looked at."""

    def check(value: object, at: str, visit: Visit) -> None:
        if not isinstance(value, list):
            visit.report(at, "must provide an array")
            return
        if len(value) < least:
            visit.report(at, f"no less than {least} items required")
        if most is not None and len(value) > most:
            visit.report(at, f"no more than {most} items allowed")
            return
        for index, one in enumerate(value):
            item(one, f"{at}/{index}", visit)

    return check


def nullable(inner: Check) -> Check:
    def check(value: object, at: str, visit: Visit) -> None:
        if value is not None:
            inner(value, at, visit)

    return check


def obj(fields: Mapping[str, Check], required: tuple[str, ...] = (), rules: tuple[Rule, ...] = ()) -> Check:
    """An object with these fields and no others; `rules` are looked at after the fields."""

    def check(value: object, at: str, visit: Visit) -> None:
        if not isinstance(value, dict):
            visit.report(at, "must provide an object")
            return
        for name in required:
            if name not in value:
                visit.report(at, f"missing required field: {name}")
        for name, one in value.items():
            of_field = fields.get(name)
            if of_field is None:
                visit.report(at, f"invalid additional property: {name}")
            else:
                of_field(one, f"{at}/{name}", visit)
        for rule in rules:
            rule(value, at, visit)

    return check


def tagged(kinds: Mapping[str, Check]) -> Check:
    """An object whose `type` names the check that it must pass."""

    def check(value: object, at: str, visit: Visit) -> None:
        if not isinstance(value, dict):
            visit.report(at, "must provide an object")
            return
        kind = value.get("type")
        if kind is None and "type" not in value:
            visit.report(at, "missing required field: type")
        elif not isinstance(kind, str):
            visit.report(f"{at}/type", "must provide a string")
        elif (of_kind := kinds.get(kind)) is None:
            visit.report(f"{at}/type", f"unsupported type: {kind}")
        else:
            of_kind(value, at, visit)

    return check


def accepted(value: object, at: str, visit: Visit) -> None:
    """For a field that is looked at elsewhere, such as `type`."""


def exactly_one(*names: str) -> Rule:
    """One of these fields is there, and no second one."""
    listed = " or ".join(f"`{name}`" for name in names)

    def rule(value: Mapping[str, object], at: str, visit: Visit) -> None:
        given = sum(name in value for name in names)
        if given == 0:
            visit.report(at, f"must define either {listed}")
        elif given > 1:
            visit.report(at, f"must define only one of {listed}")

    return rule


def at_least_one(*names: str) -> Rule:
    listed = " or ".join(f"`{name}`" for name in names)

    def rule(value: Mapping[str, object], at: str, visit: Visit) -> None:
        if not any(name in value for name in names):
            visit.report(at, f"must define either {listed}")

    return rule
