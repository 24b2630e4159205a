"""The app manifest: the scopes and events that the bot needs, each with its reason. Tests compare it with the code.

If a scope or event is used and not listed here, the stories fail, because their workspace grants only what the manifest
asks for. If one is listed and not used, `tests/slack/test_manifest.py` fails.
"""

from __future__ import annotations

from typing import Any

NAME = "Tocsin"
PATH = "/slack/events"  # where the bot takes Slack's requests over HTTP
INSTALL_PATH = "/slack/install"  # where an installation in another workspace begins
REDIRECT_PATH = "/slack/oauth_redirect"  # where Slack sends the browser then

# Each scope with the Web API methods and events that need it. What the bot notes in its messages' metadata is read
# back with their history; metadata.message:read is for events about metadata, which it asks for none of
# (https://docs.slack.dev/reference/scopes/metadata.message.read).
SCOPES: dict[str, tuple[str, ...]] = {  # not shown
    "app_mentions:read": ("app_mention",),
    "channels:history": ("message.channels", "conversations.history", "conversations.replies"),
    "channels:join": ("conversations.join",),
    "channels:read": (
        "conversations.info",
        "channel_unarchive",
        "channel_left",
        "channel_shared",
        "channel_unshared",
        "member_joined_channel",
    ),
    "chat:write": ("chat.postMessage", "chat.postEphemeral", "chat.update", "chat.delete"),
    "commands": ("slash command", "shortcuts"),
    "files:read": ("files.info",),
    "files:write": ("files.getUploadURLExternal", "files.completeUploadExternal"),
    "groups:history": ("message.groups", "conversations.history", "conversations.replies"),
    "groups:read": ("conversations.info", "group_unarchive", "group_left"),
    "im:history": ("message.im", "conversations.history"),
    "im:write": ("conversations.open",),
    "reactions:read": ("reaction_added",),
    "usergroups:read": ("usergroups.list", "usergroups.users.list", "subteam_members_changed", "subteam_updated"),
    "users:read": ("users.info", "bots.info", "user_change"),
    "users:read.email": ("users.info", "users.lookupByEmail"),
}

EVENTS: dict[str, str] = {  # not shown
    "app_home_opened": "renders Home",
    "app_mention": "commands that mention the bot",
    "channel_left": "the bot was removed from a channel",
    "channel_shared": "another company reads a channel now",
    "channel_unshared": "a channel is the company's own again",
    "channel_unarchive": "a channel takes cards again",
    "group_left": "the bot was removed from a private channel",
    "group_unarchive": "a private channel takes cards again",
    "member_joined_channel": "the bot was invited to a channel",
    "message.channels": "replies in the threads of cards",
    "message.groups": "replies in the threads of cards in private channels",
    "message.im": "commands in a direct message",
    "reaction_added": "reactions on cards",
    "subteam_members_changed": "somebody else is on call, or in a team",
    "subteam_updated": "a user group was changed or disabled",
    "user_change": "somebody became a guest, left, or changed their e-mail",
}


# Of apps that are installed in many workspaces.
INSTALLATION_EVENTS: dict[str, str] = {  # not shown
    "app_uninstalled": "nothing is sent to the workspace any more",
    "team_access_granted": "an Enterprise organization gives the app more workspaces",
    "team_access_revoked": "an Enterprise organization takes workspaces from the app",
    "tokens_revoked": "nothing is sent to the workspace any more",
}


def manifest(command: str, http_url: str | None, *, many: bool = False) -> dict[str, Any]:
    """The manifest for Socket Mode or, with the bot's public address (with the route or without it), for HTTP.

    `many`: for installation in many workspaces by OAuth, which needs an address. Only there are tokens rotated: one
    that stands in the environment would end after twelve hours.
    """
    public_url = http_url.rstrip("/").removesuffix(PATH) if http_url else None
    requests = public_url + PATH if public_url else None
    events = {**EVENTS, **(INSTALLATION_EVENTS if many else {})}

    def with_url(part: dict[str, Any], key: str) -> dict[str, Any]:
        return {**part, key: requests} if requests else part

    return {
        "display_information": {
            "name": NAME,
            "description": "See, acknowledge and resolve incidents in Slack",
            "background_color": "#7a1f1f",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": NAME, "always_online": True},
            "shortcuts": [
                {
                    "name": "Declare an incident",
                    "type": "global",
                    "callback_id": "declare_incident",
                    "description": "Open an incident and post it in its channel",
                },
                {
                    "name": "Add to incident",
                    "type": "message",
                    "callback_id": "add_to_incident",
                    "description": "Add this message to an incident as a comment",
                },
            ],
            "slash_commands": [
                with_url(
                    {
                        "command": command,
                        "description": "List, view and resolve incidents",
                        "usage_hint": "list | view N | ack N | resolve N | comment N text | help",
                        "should_escape": True,
                    },
                    "url",
                )
            ],
        },
        "oauth_config": {
            **({"redirect_urls": [f"{public_url}{REDIRECT_PATH}"]} if many else {}),
            "scopes": {"bot": sorted(SCOPES)},
        },
        "settings": {
            "event_subscriptions": with_url({"bot_events": sorted(events)}, "request_url"),
            "interactivity": with_url(
                {"is_enabled": True, **({"message_menu_options_url": requests} if requests else {})}, "request_url"
            ),
            "org_deploy_enabled": many,
            "socket_mode_enabled": requests is None,
            "token_rotation_enabled": many,
        },
    }
