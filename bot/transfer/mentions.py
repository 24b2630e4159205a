"""Mentions in comments: by database ids where they are stored, by e-mail and slug in a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bot.incidents.markup import MENTION

_NAMED = re.compile(r"<(person|team):([^<>\s:]+)>")
_IDS = {"member_id": "person", "team_id": "team"}
UNKNOWN = "unknown"  # who was mentioned is no longer in the database


def name_mentions(text: str, find_name: Callable[[str, int], str | None]) -> str:
    """The text of a comment with names. `find_name` returns the name for a kind ("person", "team") and an id."""
    return MENTION.sub(lambda found: f"<{found[1]}:{find_name(found[1], int(found[2])) or UNKNOWN}>", text)


def resolve_mentions(text: str, find_id: Callable[[str, str], int | None]) -> str:
    """The text with ids again. What has no id becomes plain text."""

    def resolve(found: re.Match[str]) -> str:
        id_ = find_id(found[1], found[2])
        return f"@{found[2]}" if id_ is None else f"<{found[1]}:{id_}>"

    return _NAMED.sub(resolve, text)


def name_rich_text(value: Any, find_name: Callable[[str, int], str | None]) -> Any:
    """A block of rich text with names in place of ids."""
    if isinstance(value, dict):
        return {
            key: find_name(_IDS[key], one) or UNKNOWN if key in _IDS else name_rich_text(one, find_name)
            for key, one in value.items()
        }
    return [name_rich_text(one, find_name) for one in value] if isinstance(value, list) else value


def resolve_rich_text(value: Any, find_id: Callable[[str, str], int | None]) -> Any:
    """The block with ids again. Raises LookupError for a name without one."""
    if isinstance(value, dict):
        return {
            key: _get_id(find_id, _IDS[key], one) if key in _IDS else resolve_rich_text(one, find_id)
            for key, one in value.items()
        }
    return [resolve_rich_text(one, find_id) for one in value] if isinstance(value, list) else value


def _get_id(find_id: Callable[[str, str], int | None], kind: str, name: Any) -> int:
    found = find_id(kind, str(name))
    if found is None:
        raise LookupError(name)
    return found
