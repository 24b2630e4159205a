"""The OAuth scopes that each Web API method requires of a bot, from Slack's method reference. A set of
alternatives stands for "any of these": which of them a conversation needs depends on its kind.
"""

from sandbox.errors import SlackError
from sandbox.records import App, Channel

# By kind of channel, as in `conversations.*`: public, private, direct.
_READ = {"channel": "channels:read", "group": "groups:read", "im": "im:read"}
_HISTORY = {"channel": "channels:history", "group": "groups:history", "im": "im:history"}
_MANAGE = {"channel": "channels:join", "group": "groups:write", "im": "im:write"}

BY_CHANNEL: dict[str, dict[str, str]] = {
    "conversations.info": _READ,
    "conversations.list": _READ,
    "conversations.members": _READ,
    "users.conversations": _READ,
    "conversations.history": _HISTORY,
    "conversations.replies": _HISTORY,
    "conversations.join": _MANAGE,
}

BY_METHOD: dict[str, str] = {
    "chat.postMessage": "chat:write",
    "chat.postEphemeral": "chat:write",
    "chat.update": "chat:write",
    "chat.delete": "chat:write",
    "conversations.open": "im:write",
    "users.info": "users:read",
    "users.list": "users:read",
    "users.lookupByEmail": "users:read.email",
    "usergroups.list": "usergroups:read",
    "usergroups.users.list": "usergroups:read",
    "reactions.add": "reactions:write",
    "reactions.remove": "reactions:write",
    "reactions.get": "reactions:read",
    "bots.info": "users:read",
    "team.info": "team:read",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "files.info": "files:read",
    "files.delete": "files:write",
}

ALL_BOT_SCOPES = frozenset(
    [
        *BY_METHOD.values(),
        *(scope for kinds in BY_CHANNEL.values() for scope in kinds.values()),
        "app_mentions:read",
        "chat:write.public",
        "chat:write.customize",
        "commands",
    ]
)

# The scopes an app needs before Slack sends it an event.
BY_EVENT: dict[str, str] = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "channel_archive": "channels:read",
    "channel_unarchive": "channels:read",
    "channel_rename": "channels:read",
    "channel_created": "channels:read",
    "channel_deleted": "channels:read",
    "channel_left": "channels:read",
    "channel_shared": "channels:read",
    "channel_unshared": "channels:read",
    "group_left": "groups:read",
    "group_archive": "groups:read",
    "group_unarchive": "groups:read",
    "group_rename": "groups:read",
    "member_joined_channel": "channels:read",
    "member_left_channel": "channels:read",
    "user_change": "users:read",
    "team_join": "users:read",
    "subteam_created": "usergroups:read",
    "subteam_updated": "usergroups:read",
    "subteam_members_changed": "usergroups:read",
    "file_shared": "files:read",
}


def accepted(method: str) -> list[str]:
    """The scopes that permit `method`, for the header that lists them."""
    if method in BY_CHANNEL:
        return sorted(set(BY_CHANNEL[method].values()))
    return [BY_METHOD[method]] if method in BY_METHOD else []


def require(app: App, scope: str) -> None:
    """Raises SlackError `missing_scope` with the required scopes and those of the token."""
    if scope not in app.scopes:
        raise SlackError("missing_scope", needed=scope, provided=",".join(sorted(app.scopes)))


def require_method(app: App, method: str) -> None:
    """Raises SlackError `missing_scope` when the bot may not call `method` at all."""
    if method in BY_METHOD:
        require(app, BY_METHOD[method])
    elif method in BY_CHANNEL and not app.scopes & set(BY_CHANNEL[method].values()):
        require(app, next(iter(BY_CHANNEL[method].values())))


def require_channel(app: App, method: str, channel: Channel) -> None:
    """Raises SlackError `missing_scope` when the bot may not call `method` for a channel of this kind."""
    if method in BY_CHANNEL:
        require(app, BY_CHANNEL[method][channel.type])


# Every event an app can subscribe to here, and the default subscriptions.
OF_INSTALLATIONS = ("app_uninstalled", "tokens_revoked", "team_access_granted", "team_access_revoked")
ALL_EVENTS = frozenset([*BY_EVENT, *OF_INSTALLATIONS, "app_home_opened"])
USUAL_EVENTS = frozenset(
    [
        "app_home_opened",
        "app_mention",
        "message.channels",
        "message.groups",
        "message.im",
        "reaction_added",
        "reaction_removed",
    ]
)
