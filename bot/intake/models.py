"""What the models of all sources share: types that read a field leniently, and reading the items of a delivery.

Alerting systems do not retry what was refused. So an alert is refused only if it cannot be identified; any other
invalid value is cleaned, shortened or left out. An invalid item does not affect the valid ones.

The page `/intake/docs` is generated from the models: their docstrings and descriptions are for senders.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH, MAX_TITLE_LENGTH
from storage.values import Status

MAX_KEY_LENGTH = 255  # characters
MAX_URL_LENGTH = 2000  # characters; Slack takes 3,000
# Characters of a link among others; Slack takes 3,000 with its name.
MAX_LINK_LENGTH = 2900
MAX_TEXT_LENGTH = 1000  # characters of any other field
# A time before or after these is a mistake, not a date.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
MAX_CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ItemError:
    """What is wrong with one item, or with the delivery as a whole."""

    item: int | None  # from 0, in the order of the delivery
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class ParsedAlert:
    """One alert, in the same form for every source. Project and team are still names. None: not given."""

    item: int
    key: str
    title: str | None
    firing: bool
    status: Status
    name: str | None = None  # what to call it if it has no title; may differ from one delivery to the next
    project: str | None = None  # slug
    team: str | None = None  # slug
    environment: str | None = None
    url: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    links: tuple[tuple[str, str], ...] | None = None  # name and URL, besides `url`
    description: str | None = None  # empty: it has none
    facts: tuple[tuple[str, str], ...] | None = None  # name and text of its other contents
    labels: Mapping[str, str] | None = None  # for silences to match


@dataclass(slots=True)
class ParseResult:
    """The alerts of a delivery, and what is wrong with its other items."""

    alerts: list[ParsedAlert]
    errors: list[ItemError]


# --- text --------------------------------------------------------------------------------------------------

# Control characters (C0, DEL, C1) and halves of surrogate pairs: PostgreSQL cannot store all of them, and nobody can
# read them. Those that are whitespace become a space. Format characters stay: right-to-left text is written with them.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Removes control characters, and replaces each run of whitespace by one space.

    The keys of an alert's start and of its end are both cleaned here, so that they stay equal.
    """
    if not text.isprintable():  # a printable text has none, and is the usual case
        text = _CONTROL.sub("", text)
    return " ".join(text.split())


def as_text(value: Any) -> str | None:
    """Any JSON value as text without control characters, on one line; None if it is empty."""
    if value is None or value in ([], {}):
        return None
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False)
        except RecursionError:
            return None
    return clean_text(value) or None


def as_key(value: Any) -> str | None:
    """Any JSON value as the key of an alert."""
    key = as_text(value)
    return None if key is None else shorten_key(key)


def shorten_key(key: str) -> str:
    """The key, cut if it is too long; a checksum at its end keeps it unique."""
    if len(key) <= MAX_KEY_LENGTH:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{key[: MAX_KEY_LENGTH - 1 - len(digest)]}:{digest}"


def shorten(text: str, longest: int = MAX_TITLE_LENGTH) -> str:
    """The text, cut with an ellipsis if it is too long."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def as_mapping(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_time(value: Any, received: datetime) -> datetime | None:
    """An ISO 8601 date and time with its zone, in UTC; None, the moment of arrival, for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip().upper())
        if moment.tzinfo is None:
            return None
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if EARLIEST <= moment <= received + MAX_CLOCK_SKEW else None


def as_url(value: Any, longest: int = MAX_URL_LENGTH) -> str | None:
    """An http or https URL that can stand as a link in Slack; None for anything else."""
    if not isinstance(value, str):
        return None
    url = clean_text(value)
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


# --- types of fields ---------------------------------------------------------------------------------------


def mistake(message: str) -> PydanticCustomError:
    """The error of a field, to raise. Its message must not repeat what was sent: it is logged too."""
    return PydanticCustomError("mistake", "{message}", {"message": message})


def _required_word(value: Any) -> str:
    text = as_text(value)
    if text is None:
        raise mistake("is missing")
    return text.lower()


def _required_key(value: Any) -> str:
    key = as_key(value)
    if key is None:
        raise mistake("is missing" if value is None else "is empty")
    return key


def text_of(longest: int) -> PlainValidator:
    """Reads a text of at most `longest` characters."""

    def read(value: Any) -> str | None:
        text = as_text(value)
        return None if text is None else shorten(text, longest)

    return PlainValidator(read, json_schema_input_type=str | None)


def _url_of(longest: int) -> PlainValidator:
    described = Annotated[str, WithJsonSchema({"type": "string", "format": "uri", "maxLength": longest})] | None
    return PlainValidator(lambda value: as_url(value, longest), json_schema_input_type=described)


def _time(value: Any, info: ValidationInfo) -> datetime | None:
    assert info.context is not None  # when the delivery arrived
    return as_time(value, info.context)


Key = Annotated[str, BeforeValidator(_required_key), Field(min_length=1)]
CleanText = Annotated[str | None, text_of(MAX_TEXT_LENGTH)]
Title = Annotated[str | None, text_of(MAX_TITLE_LENGTH)]
Environment = Annotated[str | None, text_of(MAX_ENVIRONMENT_LENGTH)]
LenientTime = Annotated[datetime | None, PlainValidator(_time, json_schema_input_type=datetime | None)]
WebUrl = Annotated[str | None, _url_of(MAX_URL_LENGTH)]
LinkUrl = Annotated[str | None, _url_of(MAX_LINK_LENGTH)]
# For a Literal of words in lower case: the value is cleaned before it is compared.
CLEANED = BeforeValidator(_required_word)


class Item(BaseModel):
    """An object that a source sends. Fields that are not named are ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="ignore")


# --- reading -----------------------------------------------------------------------------------------------

ItemT = TypeVar("ItemT", bound=Item)


def read_items(
    model: type[ItemT],
    items: Iterable[Any],
    received: datetime,
    build: Callable[[ItemT, int], ParsedAlert],
    *,
    field: str = "body",
) -> ParseResult:
    """The alerts that `build` makes of items and their numbers. `field` is where the items stand."""
    result = ParseResult([], [])
    for number, item in enumerate(items):
        try:
            result.alerts.append(build(model.model_validate(item, context=received), number))
        except ValidationError as error:
            result.errors += get_errors(error, number, field)
    return result


def get_errors(error: ValidationError, item: int | None, field: str = "body") -> list[ItemError]:
    """What is wrong with an item, in the words of the intake. `field` is where the item itself stands."""
    return [
        ItemError(item, ".".join(map(str, one["loc"])) or field, _message(one["type"], one.get("ctx", {})))
        for one in error.errors(include_url=False, include_input=False)
    ]


def _message(kind: str, details: dict[str, Any]) -> str:
    match kind:
        case "missing":
            return "is missing"
        case "model_type":
            return "should be an object"
        case "literal_error":
            return f"should be {details['expected'].replace(', ', ' or ').replace(chr(39), '')}"
        case _:
            return str(details["message"])


# --- the body ----------------------------------------------------------------------------------------------


class Unreadable(Exception):
    """The body is not JSON."""


def decode(body: bytes) -> Any:
    """The value of a JSON body. Raises Unreadable with what is wrong."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8 at byte {error.start}") from None
    try:
        # Not strict: a line break or a tab in a text, as scripts write them, is no reason to lose an alert.
        return json.loads(text, parse_constant=_refuse_constant, parse_int=_whole_number, strict=False)
    except RecursionError:
        raise Unreadable("is nested too deep") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON at line {error.lineno} column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise Unreadable(f"is not JSON: {error}") from None


def _whole_number(digits: str) -> int | str:
    """The number; its digits as text if Python refuses to convert so many: no reason to lose an alert."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
