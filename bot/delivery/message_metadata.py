"""The metadata by which a message of the bot is found in Slack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.clients import Installation
from storage.queries.post_kinds import DuePost

_METADATA_EVENT = "tocsin_post"


def build_metadata(post: DuePost) -> dict[str, Any]:
    """Builds the metadata by which the message is found in Slack. A post that is posted again gets another id."""
    return {"event_type": _METADATA_EVENT, "event_payload": {"id": f"{post.id}.{post.generation}"}}


def find_message_id(message: Mapping[str, Any], installation: Installation) -> str | None:
    """Returns the id in the metadata of a message from Slack's API; None if it is not one that delivery has sent."""
    ours = message.get("bot_id") == installation.bot_id or message.get("user") == installation.bot_user_id
    found = message.get("metadata") or {}
    if not ours or found.get("event_type") != _METADATA_EVENT:
        return None
    id_: str | None = (found.get("event_payload") or {}).get("id")
    return id_


def is_message_of(message: Mapping[str, Any], post: DuePost, installation: Installation) -> bool:
    """Returns whether a message from Slack's API is the one that was sent for the post."""
    expected: str = build_metadata(post)["event_payload"]["id"]
    return find_message_id(message, installation) == expected
