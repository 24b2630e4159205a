"""The arguments of a Web API call, from the query, a form or a JSON body. Every value may be a string."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from sandbox.errors import SlackError
from sandbox.records import Json


class Arguments:
    """Typed access to the arguments of one call. A missing required one raises SlackError
    `invalid_arguments`.
    """

    def __init__(self, given: Json) -> None:
        self.given = given

    def text(self, name: str) -> str | None:
        """A string, None when absent or empty."""
        value = self.given.get(name)
        return None if value in (None, "") else str(value)

    def required(self, name: str, error: str = "invalid_arguments") -> str:
        """A required string; raises SlackError `error` when it is missing."""
        value = self.text(name)
        if value is None:
            if error == "invalid_arguments":
                raise SlackError(error, messages=[f"[ERROR] missing required field: {name}"])
            raise SlackError(error)
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean, in any of the spellings that Slack accepts."""
        value = self.given.get(name)
        if value in (None, ""):
            return default
        return value in (True, 1, "1", "true", "True")

    def limit(self, default: int, most: int) -> int:
        """The page size; raises SlackError `invalid_limit`."""
        value = self.given.get("limit")
        if value in (None, "", 0, "0"):
            return default
        try:
            number = int(str(value))
        except ValueError:
            raise SlackError("invalid_limit") from None
        if not 1 <= number <= most:
            raise SlackError("invalid_limit")
        return number

    def json(self, name: str, error: str) -> Any:
        """A value that is JSON text in a form and a plain value in a JSON body; raises SlackError `error`
        when it is neither.
        """
        value = self.given.get(name)
        if not isinstance(value, str):
            return value
        if value == "":
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(error) from None

    def names(self, name: str) -> list[str]:
        """A comma-separated list, or a JSON list."""
        value = self.given.get(name)
        if isinstance(value, list):
            return [str(item) for item in value]
        return [item.strip() for item in str(value or "").split(",") if item.strip()]

    def page(self, things: Sequence[Any], limit: int) -> tuple[list[Any], str]:
        """The page that the cursor names, and the next cursor (empty at the end); raises SlackError
        `invalid_cursor`.
        """
        start = self._start()
        end = start + limit
        return list(things[start:end]), cursor_for(end) if end < len(things) else ""

    def _start(self) -> int:
        cursor = self.text("cursor")
        if cursor is None:
            return 0
        try:
            kind, _, offset = base64.b64decode(cursor, validate=True).decode().partition(":")
            if kind != "offset":
                raise SlackError("invalid_cursor")
            return int(offset)
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise SlackError("invalid_cursor") from None


def cursor_for(offset: int) -> str:
    """An opaque cursor, as Slack's are."""
    return base64.b64encode(f"offset:{offset}".encode()).decode()
