"""`reactions.*`."""

import re

from sandbox.api import access
from sandbox.api.arguments import Arguments
from sandbox.api.chat import permalink
from sandbox.errors import SlackError
from sandbox.platform import Platform
from sandbox.records import Json, Message

_NAME = re.compile(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?")


def _item(platform: Platform, arguments: Arguments) -> Message:
    """The message that the call names, in a conversation that the bot is in."""
    if arguments.text("channel") is None or arguments.text("timestamp") is None:
        raise SlackError("no_item_specified")
    channel = platform.workspace.channel(arguments.required("channel"))
    if not platform.workspace.hears(channel):
        raise SlackError("channel_not_found" if channel.private or channel.is_im else "not_in_channel")
    return platform.workspace.message(channel, arguments.required("timestamp"))


def _name(arguments: Arguments) -> str:
    name = arguments.required("name", "invalid_name").strip(":")
    if not _NAME.fullmatch(name):
        raise SlackError("invalid_name")
    return name


def add(platform: Platform, arguments: Arguments) -> Json:
    message = _item(platform, arguments)
    if platform.workspace.channels[message.channel_id].archived:
        raise SlackError("is_archived")
    platform.workspace.react(message, _name(arguments), access.bot(platform))
    return {}


def remove(platform: Platform, arguments: Arguments) -> Json:
    message = _item(platform, arguments)
    platform.workspace.unreact(message, _name(arguments), access.bot(platform))
    return {}


def get(platform: Platform, arguments: Arguments) -> Json:
    message = _item(platform, arguments)
    rendered = message.render() | {"permalink": permalink(platform, message)}
    return {"type": "message", "channel": message.channel_id, "message": rendered}


METHODS = {"reactions.add": add, "reactions.remove": remove, "reactions.get": get}
