"""Saves and restores a workspace: its messages, read marks, files and guided path. People, channels and groups are
set up anew each time; forms and ephemeral messages are not saved.
"""

import base64
from collections.abc import Mapping
from typing import Any

from sandbox.files import File
from sandbox.platform import Platform
from sandbox.records import Channel, Json, Message
from sandbox.workspace import float_ts

VERSION = 1


def save_state(platform: Platform) -> Json:
    """The state to save, as a JSON value."""
    with platform.workspace.lock:
        return {
            "version": VERSION,
            "ahead": platform.clock.ahead,
            "channels": {channel.id: _channel(channel) for channel in platform.workspace.channels.values()},
            "read": platform.unread.save_state(),
            "guide": platform.guide,
            "files": [_file(file) for file in platform.files.all() if file.content is not None],
        }


def restore_state(platform: Platform, saved: Mapping[str, Any]) -> bool:
    """Restore a saved state into a workspace; returns False, and changes nothing, if it is of another version."""
    if saved.get("version") != VERSION:
        return False
    platform.clock.advance(max(0.0, saved.get("ahead", 0.0)))
    workspace = platform.workspace
    with workspace.changing():
        latest = (0, 0)
        for channel_id, given in saved["channels"].items():
            user_id = given["person"]
            channel = workspace.direct(user_id) if user_id in workspace.users else workspace.channels.get(channel_id)
            if channel is None:
                continue
            channel.members = [member for member in given["members"] if member in workspace.users]
            for message in given["messages"]:
                _restore_message(channel, message)
                latest = max(latest, float_ts(message["ts"]))
        for given in saved["files"]:
            user = workspace.users.get(given["user"])
            if user is not None:
                content = base64.b64decode(given["content"])
                platform.files.restore(File(**{**given, "user": user, "content": content}))
        platform.unread.restore_state(saved["read"])
        platform.guide = list(saved.get("guide", []))
        workspace.not_before(latest)
    return True


def _channel(channel: Channel) -> Json:
    return {
        "person": channel.user_id,
        "members": list(channel.members),
        "messages": [_message(message) for message in channel.messages.values()],
    }


def _message(message: Message) -> Json:
    return {
        "ts": message.ts,
        "author": message.author_id,
        "body": message.body,
        "metadata": message.metadata,
        "thread": message.thread_ts,
        "broadcast": message.broadcast,
        "by_app": message.by_app,
        "deleted": message.deleted,
        "edits": message.edits,
        "reactions": message.reactions,
    }


def _restore_message(channel: Channel, given: Json) -> None:
    message = Message(
        channel_id=channel.id,
        ts=given["ts"],
        author_id=given["author"],
        body=given["body"],
        metadata=given["metadata"],
        thread_ts=given["thread"],
        broadcast=given["broadcast"],
        by_app=given["by_app"],
        deleted=given["deleted"],
        edits=given["edits"],
        reactions=given["reactions"],
    )
    channel.messages[message.ts] = message
    root = channel.messages.get(message.thread_ts) if message.thread_ts else None
    if root is not None and not message.deleted:
        root.replies.append(message)


def _file(file: File) -> Json:
    return {
        "id": file.id,
        "name": file.name,
        "title": file.title,
        "user": file.user.id,
        "ticket": file.ticket,
        "created": file.created,
        "alt_text": file.alt_text,
        "content": base64.b64encode(file.content or b"").decode("ascii"),
        "completed_at": file.completed_at,
        "deleted": file.deleted,
        "shares": file.shares,
    }
