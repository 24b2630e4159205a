"""`chat.*`: posting, changing and deleting the app's messages."""

import json
from typing import Any

from sandbox import payload_checks
from sandbox.api import access
from sandbox.api.arguments import Arguments
from sandbox.errors import SlackError
from sandbox.interactions import message_body
from sandbox.platform import Platform
from sandbox.records import Json, Message

METADATA_BYTES_LIMIT = 8_000

# chat.update accepts a tenth of the length that chat.postMessage accepts.
UPDATE_TEXT_LIMIT = 4_000


def _content(arguments: Arguments) -> Json:
    """text, blocks and attachments of the call, as values."""
    content: Json = {}
    if (text := arguments.text("text")) is not None:
        content["text"] = text
    blocks = arguments.json("blocks", "invalid_blocks_format")
    if blocks is not None:
        content["blocks"] = blocks
    attachments = arguments.json("attachments", "invalid_attachments")
    if attachments is not None:
        if not isinstance(attachments, list):
            raise SlackError("invalid_attachments")
        content["attachments"] = attachments
    return content


def _metadata(arguments: Arguments) -> Json | None:
    """Raises SlackError `invalid_metadata_format`, `metadata_too_large`."""
    metadata: Any = arguments.json("metadata", "invalid_metadata_format")
    if not metadata:  # an empty object removes a message's metadata
        return {} if metadata == {} else None
    if (
        not isinstance(metadata, dict)
        or not isinstance(metadata.get("event_type"), str)
        or not isinstance(metadata.get("event_payload"), dict)
    ):
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata).encode()) > METADATA_BYTES_LIMIT:
        raise SlackError("metadata_too_large")
    return metadata


def _posted(message: Message) -> Json:
    rendered = message.render(with_metadata=True)
    return {"channel": message.channel_id, "ts": message.ts, "message": rendered}


def post_message(platform: Platform, arguments: Arguments) -> Json:
    channel = access.channel_to_speak(platform, arguments.required("channel", "channel_not_found"))
    content = _content(arguments)
    payload_checks.require_message(content)
    platform.files.require_images(content)
    body = message_body(content)
    for name in ("username", "icon_emoji", "icon_url"):
        if (custom := arguments.text(name)) is not None and "chat:write.customize" in platform.app.scopes:
            body["subtype"] = "bot_message"
            if name == "username":
                body["username"] = custom
            else:
                body["icons"] = {name.removeprefix("icon_"): custom}
    message = platform.workspace.post(
        channel,
        access.bot(platform),
        body,
        metadata=_metadata(arguments),
        thread_ts=arguments.text("thread_ts"),
        broadcast=arguments.flag("reply_broadcast"),
        by_app=True,
    )
    return _posted(message)


def post_ephemeral(platform: Platform, arguments: Arguments) -> Json:
    channel = access.channel_to_speak(platform, arguments.required("channel", "channel_not_found"))
    user = platform.workspace.users.get(arguments.required("user", "user_not_in_channel"))
    if user is None or user.id not in channel.members:
        raise SlackError("user_not_in_channel")
    content = _content(arguments)
    payload_checks.require_message(content, ephemeral=True)
    thread_ts = arguments.text("thread_ts")
    message = platform.workspace.post_ephemeral(channel, user, message_body(content), thread_ts)
    return {"message_ts": message.ts}


def update(platform: Platform, arguments: Arguments) -> Json:
    channel, message = access.own_message(platform, arguments, "cant_update_message")
    if channel.archived:
        raise SlackError("is_inactive")
    content = _content(arguments)
    payload_checks.require_message(content, text_limit=UPDATE_TEXT_LIMIT)
    platform.files.require_images(content)
    changes = message_body(content)
    # A text without blocks removes the blocks; attachments stay until an empty list is sent for them.
    changes.setdefault("blocks", [])
    if "attachments" in content:
        changes.setdefault("attachments", [])
    platform.workspace.edit(message, changes, editor=access.bot(platform), metadata=_metadata(arguments))
    answer = _posted(message)
    del answer["message"]["ts"]
    return {**answer, "text": message.body["text"]}


def delete(platform: Platform, arguments: Arguments) -> Json:
    channel, message = access.own_message(platform, arguments, "cant_delete_message")
    platform.workspace.delete(message)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(platform: Platform, arguments: Arguments) -> Json:
    channel = platform.workspace.channel(arguments.required("channel", "channel_not_found"))
    message = platform.workspace.message(channel, arguments.required("message_ts", "message_not_found"))
    return {"channel": channel.id, "permalink": permalink(platform, message)}


def permalink(platform: Platform, message: Message) -> str:
    """The web address of a message."""
    workspace = platform.workspace
    link = f"https://{workspace.domain}.slack.com/archives/{message.channel_id}/p{message.ts.replace('.', '')}"
    return f"{link}?thread_ts={message.thread_ts}&cid={message.channel_id}" if message.thread_ts else link


METHODS = {
    "chat.postMessage": post_message,
    "chat.postEphemeral": post_ephemeral,
    "chat.update": update,
    "chat.delete": delete,
    "chat.getPermalink": get_permalink,
}
