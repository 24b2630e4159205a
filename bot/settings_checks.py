"""Checks of tokens and of the file `.env`. A mistake becomes a line that names the variable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import SecretStr, ValidationError, ValidationInfo

SLACK_API_URL = "https://slack.com/api/"


class SettingsError(ValueError):
    """A variable is missing or wrong; `sentence` has one line for each mistake."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.sentence = "\n".join(lines)


# How a Slack token of each kind begins, and what it is.
_TOKEN_KINDS = {
    "xoxb-": "a bot token, which belongs in SLACK_BOT_TOKEN",
    "xoxe.xoxb-": "a bot token, which belongs in SLACK_BOT_TOKEN",
    "xapp-": "an app-level token, which belongs in SLACK_APP_TOKEN",
    "xoxp-": "a user token, which this bot has no use for",
    "xoxe.xoxp-": "a user token, which this bot has no use for",
}


def check_token_kind(token: SecretStr | None, info: ValidationInfo, prefixes: tuple[str, ...], wanted: str) -> None:
    """Checks that a token begins with one of the prefixes. Raises ValueError."""
    value = token.get_secret_value() if token else ""
    if not value or value.startswith(prefixes):
        return
    for prefix, what in _TOKEN_KINDS.items():
        if value.startswith(prefix):
            raise ValueError(f"begins with {prefix}: that is {what}; {wanted}")
    # A server that is not Slack's own may have tokens of its own.
    if info.data.get("slack_api_url") == SLACK_API_URL:
        raise ValueError(f"is no such token; {wanted}")


def check_env_file(path: Path) -> None:
    """Raises SettingsError for lines of `.env` that are no setting; pydantic-settings would ignore them."""
    try:
        with path.open(encoding="utf-8") as stream:
            for binding in parse_stream(stream):
                if binding.error:
                    raise SettingsError(
                        f"{path}:{binding.original.line}: is no setting; a line should look like NAME=value"
                    )
    except FileNotFoundError:
        return
    except IsADirectoryError:
        raise SettingsError(f"{path} is a folder; it should be a file with lines like NAME=value, or absent") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


DEFAULT_CELL = "default"  # the cell of DATABASE_URL
_CELL = re.compile(r"[a-z][a-z0-9-]{0,30}")
_CELLS_FORM = "should look like eu=postgresql://user:password@host/name us=postgresql://…, separated by blanks"


def parse_cells(value: Any) -> Any:
    """The databases of further cells by name. Raises ValueError, without any part of a URL."""
    if not isinstance(value, str):
        return value
    from storage.url import BadDatabaseUrl, normalise_url  # SQLAlchemy is loaded only where a URL is set

    found = {}
    for word in value.split():
        name, equals, url = word.partition("=")
        if not equals or not _CELL.fullmatch(name):
            raise ValueError(f"{_CELLS_FORM}; a name is lower-case letters, digits and hyphens, 31 characters at most")
        if name == DEFAULT_CELL or name in found:
            raise ValueError(f"names {name} twice; {DEFAULT_CELL} is the cell of DATABASE_URL")
        try:
            found[name] = normalise_url(url)
        except BadDatabaseUrl as error:
            raise ValueError(f"{name}: {error}") from None
    if len({*found.values()}) < len(found):
        raise ValueError("names one database twice")
    return found


_PREDICATE = re.compile(r"(?:is|should|holds|begins|names)\b")


def format_errors(error: ValidationError) -> list[str]:
    """A line for each mistake."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "enum":
            message = f"should be one of {item['ctx']['expected']}".replace("'", "").replace(" or ", ", ")
        # A message that begins with a verb continues from the variable's name; any other follows a colon.
        name = str(item["loc"][0])
        lines.append(f"{name} {message}" if _PREDICATE.match(message) else f"{name}: {message}")
    return lines
