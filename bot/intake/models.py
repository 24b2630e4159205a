"""The items of a delivery, and reading their fields: what is odd is cleaned, shortened or left out.

Alerting systems do not try again what was refused, so an alert is refused only where nobody could tell which one it
is. One item that is wrong does not lose the others.
"""

from __future__ import annotations

import hashlib
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
MAX_TEXT_LENGTH = 1000  # characters of any other field
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
    """An item as its source put it, cleaned; its project and team are still names. None: not said."""

    item: int
    key: str
    title: str | None  # None: not said
    firing: bool
    status: Status
    name: str | None = None  # what to call it where it has no title; may differ from one delivery to the next
    project: str | None = None  # slug
    team: str | None = None  # slug
    environment: str | None = None
    url: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    links: tuple[tuple[str, str], ...] | None = None  # name and URL, besides `url`
    facts: tuple[tuple[str, str], ...] | None = None  # name and text


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
        # Not strict: a line break or a tab in a text, as scripts write them, is no reason to lose an alert.
        return json.loads(text, parse_constant=_no_constant, strict=False)
    except RecursionError:
        raise Unreadable("is nested too deep") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON at line {error.lineno} column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise Unreadable(f"is not JSON: {error}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


# Control characters (C0, DEL, C1) and halves of surrogate pairs: PostgreSQL or Slack cannot keep them, and nobody can
# read them. Blanks among them are folded instead. Format characters stay: right-to-left text is written with them.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """The text on one line: blanks folded, and what cannot be kept or shown dropped.

    The beginning and the end of an alert go through here alike, so that a key stays the same key.
    """
    return " ".join(_CONTROL.sub("", text).split())


def as_text(value: Any) -> str | None:
    """Any JSON value as clean text; None where nothing is said."""
    if value is None or value in ([], {}):
        return None
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False)
        except RecursionError:
            return None
    return clean(value) or None


def as_key(value: Any) -> str | None:
    """Any JSON value as what tells one alert from another. A long one keeps its beginning and what makes it unique."""
    key = as_text(value)
    if key is not None and len(key) > MAX_KEY_LENGTH:
        digest = hashlib.sha256(key.encode()).hexdigest()
        key = f"{key[: MAX_KEY_LENGTH - 1 - len(digest)]}:{digest}"
    return key


class Fields:
    """The fields of one item, read leniently: an alert is refused only where nobody could tell which one it is."""

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
        """Notes a mistake. Messages never repeat what was sent: they stand in the log too."""
        self.errors.append(ItemError(self.item, self._path + field, message))

    def text(self, field: str, *, longest: int = MAX_TEXT_LENGTH) -> str | None:
        """A text on one line, shortened where it is too long; None where nothing is said."""
        text = as_text(self.data.get(field))
        return None if text is None else shorten(text, longest)

    def key(self, field: str) -> str | None:
        """What tells the alert from every other. Required."""
        key = as_key(self.data.get(field))
        if key is None:
            self.wrong(field, "is missing" if self.data.get(field) is None else "is empty")
        return key

    def object(self, field: str, *, required: bool = False) -> Fields:
        """An object inside the item; empty where there is none."""
        value = self.data.get(field)
        if not isinstance(value, dict):
            if required:
                self.wrong(field, "should be an object")
            value = {}
        return self.part(field, value)

    def choice(self, field: str, choices: Iterable[str], *, required: bool = False) -> str | None:
        """One of a few words."""
        word = as_text(self.data.get(field))
        words = list(choices)
        if word is None:
            if required:
                self.wrong(field, "is missing")
            return None
        if word not in words:
            self.wrong(field, f"should be {' or '.join(words)}")
            return None
        return word

    def time(self, field: str) -> datetime | None:
        """An ISO 8601 date and time with its zone, in UTC; None, the moment of arrival, for what cannot be one."""
        value = self.data.get(field)
        if not isinstance(value, str):
            return None
        try:
            moment = datetime.fromisoformat(value.strip().upper())
            if moment.tzinfo is None:
                return None
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            return None
        return moment if EARLIEST <= moment <= self._now + CLOCKS_APART else None

    def url(self, field: str) -> str | None:
        """An http or https URL; None for anything else."""
        return as_url(self.data.get(field))


def as_url(value: Any, longest: int = MAX_URL_LENGTH) -> str | None:
    """An http or https URL that can stand as a link in Slack; None for anything else."""
    if not isinstance(value, str):
        return None
    url = clean(value)
    return url if len(url) <= longest and is_web_url(url) else None


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


def shorten(text: str, longest: int = MAX_TITLE_LENGTH) -> str:
    """The text, cut with an ellipsis where it is too long: an alert is not lost for its length."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
