"""Which conversations the bot may read and post in, and the errors that Slack returns for the others."""

from sandbox import scopes
from sandbox.api.arguments import Arguments
from sandbox.errors import SlackError
from sandbox.platform import Platform
from sandbox.records import Channel, Message, User


def bot(platform: Platform) -> User:
    """The bot's user."""
    return platform.workspace.users[platform.app.bot_user_id]


def channel_to_read(platform: Platform, arguments: Arguments, method: str) -> Channel:
    """The conversation named in the call. Raises SlackError `channel_not_found`, also for a private conversation
    that the bot is not in.
    """
    channel = platform.workspace.channel(arguments.required("channel", "channel_not_found"))
    if (channel.private or channel.is_im) and not platform.workspace.hears(channel):
        raise SlackError("channel_not_found")
    scopes.require_channel(platform.app, method, channel)
    return channel


def channel_to_hear(platform: Platform, arguments: Arguments, method: str) -> Channel:
    """A conversation whose messages the bot may read. Raises SlackError `not_in_channel` if it is not a member."""
    channel = channel_to_read(platform, arguments, method)
    if not platform.workspace.hears(channel):
        raise SlackError("not_in_channel")
    return channel


def channel_to_speak(platform: Platform, named: str) -> Channel:
    """A conversation that the bot may post in, by channel id or name, or by the id of a person (their
    direct messages).

    Raises SlackError `channel_not_found`, `not_in_channel`, `is_archived`, `messages_tab_disabled`,
    `cannot_dm_bot`, `user_disabled`.
    """
    workspace = platform.workspace
    channel = direct_with(platform, named) if named in workspace.users else workspace.channel(named)
    if channel.is_im:
        if not platform.app.messages_tab:
            raise SlackError("messages_tab_disabled")
        if channel.user_id and workspace.users[channel.user_id].deleted:
            raise SlackError("user_disabled")
        return channel
    if not workspace.hears(channel):
        if channel.private:
            raise SlackError("channel_not_found")
        if "chat:write.public" not in platform.app.scopes:
            raise SlackError("not_in_channel")
    if channel.archived:
        raise SlackError("is_archived")
    return channel


def direct_with(platform: Platform, user_id: str) -> Channel:
    """The direct conversation with a person; raises SlackError `user_not_found`, `user_disabled`,
    `cannot_dm_bot`.
    """
    user = platform.workspace.user(user_id)
    if user.is_bot:
        raise SlackError("cannot_dm_bot")
    if user.deleted:
        raise SlackError("user_disabled")
    return platform.workspace.direct(user_id)


def own_message(platform: Platform, arguments: Arguments, error: str, ts_name: str = "ts") -> tuple[Channel, Message]:
    """A message that the bot sent; raises SlackError `error` for anyone else's."""
    channel = platform.workspace.channel(arguments.required("channel", "channel_not_found"))
    if (channel.private or channel.is_im) and not platform.workspace.hears(channel):
        raise SlackError("channel_not_found")
    message = platform.workspace.message(channel, arguments.required(ts_name, "message_not_found"))
    if not message.by_app:
        raise SlackError(error)
    return channel, message
