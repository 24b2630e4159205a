"""Checks of tokens and of the file `.env`. A mistake becomes a line that names the variable."""

from __future__ import annotations

import re
from pathlib import Path

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


_PREDICATE = re.compile(r"(?:is|should|holds|begins)\b")


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
