"""The items of a delivery, and reading them strictly: a field that is wrong becomes an error that names it.

One item that is wrong does not lose the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bot.incidents.limits import MAX_TITLE_LENGTH
from storage.values import Status

MAX_KEY_LENGTH = 255  # characters
MAX_URL_LENGTH = 2000  # characters; Slack takes 3,000
# What is said to have happened earlier or later is a mistake, not a date.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCKS_APART = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ItemError:
    """What is wrong with one item, or with the delivery as a whole."""

    item: int | None  # from 0, in the order of the delivery
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An item as its source put it: checked, its project and team still names."""

    item: int
    key: str
    title: str
    firing: bool
    status: Status
    project: str | None = None  # slug
    team: str | None = None  # slug
    environment: str | None = None
    url: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    links: tuple[tuple[str, str], ...] = ()  # name and URL, besides `url`
    facts: tuple[tuple[str, str], ...] = ()  # name and text


@dataclass(slots=True)
class Parsed:
    """What a source's parser makes of a delivery."""

    drafts: list[Draft]
    errors: list[ItemError]


class Unreadable(Exception):
    """The body is no JSON."""


def decode(body: bytes) -> Any:
    """The value of a JSON body. Raises Unreadable with what is wrong."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8 at byte {error.start}") from None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise Unreadable("is nested too deep") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON at line {error.lineno} column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise Unreadable(f"is not JSON: {error}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


# What PostgreSQL cannot store and Slack cannot show. Blanks of any kind are folded before.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")


class Fields:
    """The fields of one item. Each method gives a checked value, or None and an error."""

    def __init__(self, item: int, data: dict[str, Any], now: datetime) -> None:
        self.item = item
        self.errors: list[ItemError] = []
        self.data = data
        self._now = now
        self._path = ""

    def part(self, path: str, data: dict[str, Any]) -> Fields:
        """The fields of an object inside the item; what is wrong with them is wrong with the item."""
        inner = Fields(self.item, data, self._now)
        inner.errors = self.errors
        inner._path = f"{self._path}{path}."
        return inner

    def wrong(self, field: str, message: str) -> None:
        """Notes a mistake."""
        self.errors.append(ItemError(self.item, self._path + field, message))

    def text(self, field: str, *, required: bool = False, longest: int | None = None) -> str | None:
        """A text on one line, its blanks folded; None where it is absent, null or empty."""
        value = self.data.get(field)
        if value is None:
            if required:
                self.wrong(field, "is missing")
            return None
        if not isinstance(value, str):
            self.wrong(field, "should be text")
            return None
        if _CONTROL.search(value):
            self.wrong(field, "holds characters that are no text")
            return None
        folded = " ".join(value.split())
        if not folded and required:
            self.wrong(field, "is empty")
        if longest is not None and len(folded) > longest:
            self.wrong(field, f"is longer than {longest} characters")
            return None
        return folded or None

    def identifier(self, field: str, longest: int = 100) -> str | None:
        """A required id, written as text or as a number."""
        value = self.data.get(field)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return str(value)
        return self.text(field, required=True, longest=longest)

    def object(self, field: str) -> Fields:
        """A required object inside the item."""
        value = self.data.get(field)
        if not isinstance(value, dict):
            self.wrong(field, "should be an object")
            value = {}
        return self.part(field, value)

    def choice(self, field: str, choices: Iterable[str], *, required: bool = False) -> str | None:
        """One of a few words."""
        value = self.data.get(field)
        words = list(choices)
        if value is None:
            if required:
                self.wrong(field, "is missing")
            return None
        if not isinstance(value, str) or value not in words:
            self.wrong(field, f"should be {' or '.join(words)}")
            return None
        return value

    def time(self, field: str) -> datetime | None:
        """An ISO 8601 date and time with its zone, in UTC."""
        value = self.data.get(field)
        if value is None:
            return None
        wanted = "should be a date and time with its zone, like 2026-11-01T09:30:00Z"
        if not isinstance(value, str):
            self.wrong(field, wanted)
            return None
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.wrong(field, wanted)
            return None
        if not EARLIEST <= moment <= self._now + CLOCKS_APART:
            self.wrong(field, "is before the year 2000 or in the future")
            return None
        return moment

    def url(self, field: str) -> str | None:
        """An http or https URL."""
        value = self.text(field, longest=MAX_URL_LENGTH)
        if value is not None and not is_web_url(value):
            self.wrong(field, "should be an http or https URL")
            return None
        return value


def is_web_url(value: str) -> bool:
    """Whether this can stand as a link in Slack."""
    try:
        parts = urlsplit(value)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and re.fullmatch(r"[^\s<>|]+", value) is not None
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return False


def shortened(text: str, longest: int = MAX_TITLE_LENGTH) -> str:
    """The text, cut with an ellipsis where it is too long: an alert is not lost for its length."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
