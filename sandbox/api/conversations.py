"""`conversations.*`: channels and direct messages, their members and their messages."""

import base64
from collections.abc import Iterable

from sandbox import scopes
from sandbox.api import access
from sandbox.api.arguments import Arguments
from sandbox.errors import SlackError
from sandbox.platform import Platform
from sandbox.records import Channel, Json, Message
from sandbox.workspace import float_ts

_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


def listed(platform: Platform, arguments: Arguments, method: str, channels: Iterable[Channel]) -> Json:
    """A page of `channels`, by the `types` asked for; raises SlackError `invalid_types`, `missing_scope`."""
    names = arguments.names("types") or ["public_channel"]
    if not set(names) <= set(_TYPES):
        raise SlackError("invalid_types")
    kinds = {_TYPES[name] for name in names}
    for kind in kinds - {"mpim"}:
        scopes.require(platform.app, scopes.BY_CHANNEL[method][kind])
    hears = platform.workspace.hears
    found = [
        channel
        for channel in channels
        if channel.type in kinds
        and (channel.type == "channel" or hears(channel))
        and not (channel.archived and arguments.flag("exclude_archived"))
    ]
    page, cursor = arguments.page(found, arguments.limit(100, 1000))
    team_id = platform.workspace.team_id
    rendered = [channel.render(team_id, member=hears(channel), with_num_members=True) for channel in page]
    return {"channels": rendered, "response_metadata": {"next_cursor": cursor}}


def list_all(platform: Platform, arguments: Arguments) -> Json:
    return listed(platform, arguments, "conversations.list", platform.workspace.channels.values())


def info(platform: Platform, arguments: Arguments) -> Json:
    channel = access.channel_to_read(platform, arguments, "conversations.info")
    workspace = platform.workspace
    rendered = channel.render(
        workspace.team_id,
        member=workspace.hears(channel),
        with_num_members=arguments.flag("include_num_members"),
    )
    return {"channel": rendered}


def members(platform: Platform, arguments: Arguments) -> Json:
    channel = access.channel_to_read(platform, arguments, "conversations.members")
    page, cursor = arguments.page(channel.members, arguments.limit(100, 1000))
    return {"members": page, "response_metadata": {"next_cursor": cursor}}


def _time(arguments: Arguments, name: str) -> tuple[int, int] | None:
    value = arguments.text(name)
    if value is None:
        return None
    try:
        return float_ts(value)
    except ValueError:
        raise SlackError(f"invalid_ts_{name}") from None


def _between(arguments: Arguments, messages: Iterable[Message]) -> Iterable[Message]:
    """The messages between `oldest` and `latest`; the two ends are included only with `inclusive`."""
    oldest, latest, inclusive = (
        _time(arguments, "oldest"),
        _time(arguments, "latest"),
        arguments.flag("inclusive"),
    )
    for message in messages:
        at = float_ts(message.ts)
        if oldest is not None and (at < oldest or (at == oldest and not inclusive)):
            continue
        if latest is not None and (at > latest or (at == latest and not inclusive)):
            continue
        yield message


def history(platform: Platform, arguments: Arguments) -> Json:
    channel = access.channel_to_hear(platform, arguments, "conversations.history")
    shown = [m for m in reversed(channel.messages.values()) if m.thread_ts is None or m.broadcast]
    found = list(_between(arguments, shown))
    start = _after_cursor(arguments, found)
    limit = arguments.limit(100, 999)
    page = found[start : start + limit]
    more = start + limit < len(found)
    metadata = arguments.flag("include_all_metadata")
    answer: Json = {
        "messages": [message.render(with_metadata=metadata) for message in page],
        "has_more": more,
        "pin_count": 0,
        "channel_actions_ts": None,
        "channel_actions_count": 0,
    }
    if more:
        answer["response_metadata"] = {"next_cursor": _ts_cursor(found[start + limit])}
    return answer


def _ts_cursor(message: Message) -> str:
    """A cursor of the history. It contains a time, so that messages posted meanwhile do not shift the pages."""
    return base64.b64encode(f"next_ts:{message.ts.replace('.', '')}".encode()).decode()


def _after_cursor(arguments: Arguments, found: list[Message]) -> int:
    cursor = arguments.text("cursor")
    if cursor is None:
        return 0
    for position, message in enumerate(found):
        if _ts_cursor(message) == cursor:
            return position
    raise SlackError("invalid_cursor")


def replies(platform: Platform, arguments: Arguments) -> Json:
    channel = access.channel_to_hear(platform, arguments, "conversations.replies")
    named = channel.messages.get(arguments.required("ts", "thread_not_found"))
    if named is None:
        raise SlackError("thread_not_found")
    root = channel.messages[named.thread_ts] if named.thread_ts else named
    found = list(_between(arguments, root.replies))
    start = _after_cursor(arguments, found)
    limit = arguments.limit(1000, 1000)
    page = found[start : start + limit]
    more = start + limit < len(found)
    metadata = arguments.flag("include_all_metadata")
    answer: Json = {
        "messages": [message.render(with_metadata=metadata) for message in [root, *page]],
        "has_more": more,
    }
    if more:
        answer["response_metadata"] = {"next_cursor": _ts_cursor(found[start + limit])}
    return answer


def join(platform: Platform, arguments: Arguments) -> Json:
    channel = platform.workspace.channel(arguments.required("channel", "channel_not_found"))
    if channel.is_im:
        raise SlackError("method_not_supported_for_channel_type")
    if channel.private:
        raise SlackError("channel_not_found")
    scopes.require_channel(platform.app, "conversations.join", channel)
    if channel.archived:
        raise SlackError("is_archived")
    joined = platform.workspace.join(channel, access.bot(platform))
    answer: Json = {"channel": channel.render(platform.workspace.team_id, member=True)}
    if not joined:
        answer |= {"warning": "already_in_channel", "response_metadata": {"warnings": ["already_in_channel"]}}
    return answer


def open_direct(platform: Platform, arguments: Arguments) -> Json:
    workspace = platform.workspace
    named = arguments.text("channel")
    users = arguments.names("users")
    if named is not None:
        channel = workspace.channel(named)
        if not channel.is_im:
            raise SlackError("method_not_supported_for_channel_type")
        existed = True
    elif not users:
        raise SlackError("users_list_not_supplied")
    elif len(users) > 1:
        raise SlackError("method_not_supported_for_channel_type")
    else:
        existed = "D" + users[0][1:] in workspace.channels
        channel = access.direct_with(platform, users[0])
    opened: Json = {"channel": {"id": channel.id}}
    if arguments.flag("return_im"):
        opened["channel"] = channel.render(workspace.team_id, member=True) | {"is_open": True}
    return {"no_op": True, "already_open": True, **opened} if existed else opened


METHODS = {
    "conversations.list": list_all,
    "conversations.info": info,
    "conversations.members": members,
    "conversations.history": history,
    "conversations.replies": replies,
    "conversations.join": join,
    "conversations.open": open_direct,
}
