"""The events that a change in the workspace causes, in the format of the Events API: pure functions build the
inner events and the `event_callback` around them. `workspace` decides which events are sent; `deliveries` sends
them.
"""

import base64
import json
import secrets
from collections.abc import Mapping

from sandbox.records import App, Channel, Json, Message, User, UserGroup

# The name under which an app subscribes to messages, for each kind of channel.
MESSAGE_SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}

# The second form of a channel's type, used by membership events alone.
_MEMBERSHIP_TYPES = {"channel": "C", "group": "G", "im": "D"}


def subscription(event: Mapping[str, object]) -> str:
    """The name an app has to subscribe to in order to receive `event`."""
    if event["type"] == "message":
        return MESSAGE_SUBSCRIPTIONS[str(event["channel_type"])]
    return str(event["type"])


def wrap(
    event: Json,
    *,
    app: App,
    team_id: str,
    enterprise: Json | None,
    source_team: str,
    channel: Channel | None,
    at: float,
    org_wide: bool = False,
) -> Json:
    """The `event_callback` for an inner event.

    `source_team` is the workspace where it happened: another company's for a person from there in a shared channel, and
    for everybody in a channel that another workspace hosts. The authorization names the workspace the app is
    installed in. The context does so here too, although Slack has been observed to name the other workspace there.
    """
    enterprise_id = enterprise["id"] if enterprise else None
    shared = bool(channel and channel.shared_with)
    context = {"et": event["type"], "tid": team_id, "aid": app.app_id, "cid": channel.id if channel else ""}
    wrapped = {
        "token": app.verification_token,
        "team_id": channel.hosted_by if channel and channel.hosted_by else source_team,
        "context_team_id": team_id,
        "context_enterprise_id": enterprise_id,
        "api_app_id": app.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": "Ev" + secrets.token_hex(5).upper(),
        "event_time": int(at),
        "authorizations": [
            {
                "enterprise_id": enterprise_id,
                "team_id": None if org_wide else team_id,
                "user_id": app.bot_user_id,
                "is_bot": True,
                "is_enterprise_install": org_wide,
            }
        ],
        "is_ext_shared_channel": shared,
        "event_context": "4-" + base64.urlsafe_b64encode(json.dumps(context).encode()).decode(),
    }
    if enterprise_id and not shared:
        wrapped["enterprise_id"] = enterprise_id
    return wrapped


def wrap_of_installation(event: Json, *, app: App, installation_id: str, enterprise_id: str | None, at: float) -> Json:
    """The `event_callback` of an event about an installation as a whole."""
    of_enterprise = installation_id == enterprise_id
    team_id = None if of_enterprise else installation_id
    return {
        "token": app.verification_token,
        "team_id": team_id,
        **({"enterprise_id": enterprise_id} if enterprise_id else {}),
        "api_app_id": app.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": "Ev" + secrets.token_hex(5).upper(),
        "event_time": int(at),
        "authorizations": [
            {
                "enterprise_id": enterprise_id,
                "team_id": team_id,
                "user_id": app.bot_user_id,
                "is_bot": True,
                "is_enterprise_install": of_enterprise,
            }
        ],
    }


def _placed(channel: Channel, event_ts: str) -> Json:
    return {"channel": channel.id, "event_ts": event_ts, "channel_type": channel.type}


def _home_of(author: User, team_id: str) -> Json:
    """The fields that an event adds for an author from another company."""
    if author.team_id == team_id:
        return {}
    return {
        "user_team": author.team_id,
        "source_team": author.team_id,
        "user_profile": {
            "avatar_hash": f"g{author.id.lower()}",
            "image_72": f"https://avatars.test/{author.id}_72.png",
            "first_name": author.real_name.partition(" ")[0],
            "real_name": author.real_name,
            "display_name": author.real_name,
            "team": author.team_id,
            "name": author.name,
            "is_restricted": author.restricted,
            "is_ultra_restricted": author.ultra_restricted,
        },
    }


def message(channel: Channel, posted: Message, author: User, team_id: str, *, root: Message | None = None) -> Json:
    """`message`: a message was posted; a reply that is also shown in the channel contains its thread's root."""
    event = posted.render(with_metadata=True) | _files(channel, posted)
    if posted.thread_ts is not None and root is not None and "parent_user_id" not in event:
        event["parent_user_id"] = root.author_id
    if posted.broadcast and root is not None:
        event |= {"subtype": "thread_broadcast", "root": root.render()}
        event.pop("parent_user_id", None)
    if "subtype" in event:
        event.pop("team", None)
    return event | _home_of(author, team_id) | _placed(channel, posted.ts)


def app_mention(channel: Channel, posted: Message, author: User, team_id: str) -> Json:
    """`app_mention`: sent in addition to the `message` event for the same message."""
    event = posted.render() | {"type": "app_mention"}
    event.pop("subtype", None)
    if channel.hosted_by:
        # `team` is then the host's for everybody, and the author's own team is in a separate field.
        event |= {"team": channel.hosted_by, "user_team": author.team_id, "source_team": author.team_id}
    return event | _home_of(author, team_id) | {"channel": channel.id, "event_ts": posted.ts}


def message_changed(channel: Channel, before: Json, changed: Message, event_ts: str) -> Json:
    """`message` / `message_changed`: an edit, an unfurl, or a thread's root that got a reply."""
    return {
        "type": "message",
        "subtype": "message_changed",
        "message": changed.render() | _files(channel, changed) | _teams(changed),
        "previous_message": before,
        "hidden": True,
        "ts": event_ts,
    } | _placed(channel, event_ts)


def _files(channel: Channel, posted: Message) -> Json:
    """The files of a message in a channel shared with another company: the app has to look them up."""
    if not channel.shared_with or not posted.body.get("files"):
        return {}
    to_look_up = {"mode": "file_access", "file_access": "check_file_info", "created": 0, "timestamp": 0, "user": ""}
    return {"files": [{"id": file["id"], **to_look_up} for file in posted.body["files"]]}


def _teams(changed: Message) -> Json:
    team = changed.body.get("team")
    return {"source_team": team, "user_team": team} if team else {}


def message_deleted(channel: Channel, gone: Message, event_ts: str) -> Json:
    """`message` / `message_deleted`."""
    return {
        "type": "message",
        "subtype": "message_deleted",
        "previous_message": gone.render(),
        "hidden": True,
        "deleted_ts": gone.ts,
        "ts": event_ts,
    } | _placed(channel, event_ts)


def reaction(kind: str, channel: Channel, on: Message, name: str, user_id: str, event_ts: str) -> Json:
    """`reaction_added` or `reaction_removed`."""
    return {
        "type": kind,
        "user": user_id,
        "reaction": name,
        "item": {"type": "message", "channel": channel.id, "ts": on.ts},
        "item_user": on.author_id,
        "event_ts": event_ts,
    }


def membership(kind: str, channel: Channel, user: User, event_ts: str, inviter: str | None = None) -> Json:
    """`member_joined_channel` or `member_left_channel`."""
    event: Json = {
        "type": kind,
        "user": user.id,
        "channel": channel.id,
        "channel_type": _MEMBERSHIP_TYPES[channel.type],
        "team": user.team_id,
        "event_ts": event_ts,
    }
    if inviter is not None:
        event["inviter"] = inviter
    return event


def app_home_opened(user: User, direct: Channel, tab: str, view: Json | None, event_ts: str) -> Json:
    """`app_home_opened`; `view` is what the app last published for that person."""
    event: Json = {
        "type": "app_home_opened",
        "user": user.id,
        "channel": direct.id,
        "tab": tab,
        "event_ts": event_ts,
    }
    if view is not None:
        event["view"] = view
    return event


def file_shared(channel: Channel, file_id: str, user_id: str, event_ts: str) -> Json:
    """`file_shared`: sent in addition to the `message` that shows the file."""
    return {
        "type": "file_shared",
        "file_id": file_id,
        "user_id": user_id,
        "file": {"id": file_id},
        "channel_id": channel.id,
        "event_ts": event_ts,
    }


def channel_named(kind: str, channel: Channel, user_id: str, event_ts: str) -> Json:
    """`channel_archive` or `channel_unarchive`, and the same of private channels (`group_…`)."""
    event: Json = {"type": kind, "channel": channel.id, "user": user_id, "event_ts": event_ts}
    if kind.endswith("_archive"):
        event["is_moved"] = 0
    return event


def channel_renamed(channel: Channel, event_ts: str) -> Json:
    """`channel_rename` or `group_rename`."""
    renamed = {
        "id": channel.id,
        "is_channel": not channel.private,
        "is_mpim": False,
        "name": channel.name,
        "name_normalized": channel.name,
        "created": channel.created,
    }
    return {"type": f"{channel.type}_rename", "channel": renamed, "event_ts": event_ts}


def channel_shared(channel: Channel, team_id: str, event_ts: str) -> Json:
    """`channel_shared`: `team_id` is the workspace that has joined it."""
    return {"type": "channel_shared", "connected_team_id": team_id, "channel": channel.id, "event_ts": event_ts}


def channel_unshared(channel: Channel, team_id: str, event_ts: str) -> Json:
    """`channel_unshared`: `team_id` is the workspace that is no longer in it."""
    return {
        "type": "channel_unshared",
        "previously_connected_team_id": team_id,
        "channel": channel.id,
        "is_ext_shared": bool(channel.shared_with),
        "event_ts": event_ts,
    }


def channel_created(channel: Channel, team_id: str, event_ts: str) -> Json:
    """`channel_created`: a public channel whose only member is its creator."""
    rendered = channel.render(team_id, member=False)
    del rendered["is_member"], rendered["parent_conversation"]
    return {"type": "channel_created", "channel": rendered, "event_ts": event_ts}


def user_changed(user: Json, now: int, event_ts: str) -> Json:
    """`user_change`."""
    return {"type": "user_change", "user": user, "cache_ts": now, "event_ts": event_ts}


def team_joined(user: Json, now: int, event_ts: str) -> Json:
    """`team_join`."""
    return {"type": "team_join", "user": user, "cache_ts": now, "event_ts": event_ts}


def subteam(kind: str, group: Json, event_ts: str) -> Json:
    """`subteam_created` or `subteam_updated`."""
    return {"type": kind, "subteam": group, "event_ts": event_ts}


def subteam_members_changed(
    group: UserGroup, team_id: str, added: list[str], removed: list[str], before: int, event_ts: str
) -> Json:
    """`subteam_members_changed`; `before` is the time of the previous change."""
    return {
        "type": "subteam_members_changed",
        "subteam_id": group.id,
        "team_id": team_id,
        "date_previous_update": before,
        "date_update": group.updated,
        "added_users": added,
        "added_users_count": len(added),
        "removed_users": removed,
        "removed_users_count": len(removed),
        "event_ts": event_ts,
    }
