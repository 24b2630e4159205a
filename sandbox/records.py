"""The objects of a workspace (people, channels, user groups, messages, files) and their JSON in Slack's format.
Plain values: `workspace` and `api` check permissions.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]

TIME_ZONE_LABELS = {"UTC": "Coordinated Universal Time"}


@dataclass(slots=True, eq=False)
class App:
    """The one app installed in the workspace, with its bot user."""

    app_id: str
    bot_id: str
    bot_user_id: str
    name: str
    bot_token: str
    app_token: str
    signing_secret: str
    verification_token: str
    scopes: frozenset[str]
    events: frozenset[str]  # the subscriptions, as `message.channels`
    should_escape: bool = True  # of its slash commands: mentions, channels and links arrive encoded
    home_tab: bool = True
    messages_tab: bool = True

    def profile(self, team_id: str, updated: int) -> Json:
        """The `bot_profile` that comes with each message of the bot."""
        return {
            "id": self.bot_id,
            "app_id": self.app_id,
            "user_id": self.bot_user_id,
            "name": self.name,
            "icons": {f"image_{size}": f"https://avatars.test/{self.bot_id}_{size}.png" for size in (36, 48, 72)},
            "deleted": False,
            "updated": updated,
            "team_id": team_id,
        }


@dataclass(slots=True, eq=False)
class User:
    """A person or bot in the workspace."""

    id: str
    name: str  # the handle, without @, unique and without spaces
    real_name: str
    team_id: str  # their home workspace: another id for a person from a shared channel
    email: str | None = None
    email_confirmed: bool = True
    title: str = ""  # what they do, as it stands in their profile
    tz: str = "UTC"
    restricted: bool = False
    ultra_restricted: bool = False
    is_bot: bool = False
    deleted: bool = False
    is_admin: bool = False
    is_owner: bool = False
    bot_id: str | None = None
    app_id: str | None = None
    updated: int = 0

    def render(
        self, *, with_email: bool, home: str, now: datetime, with_locale: bool = False, enterprise: Json | None = None
    ) -> Json:
        """The `user` object of users.info and user_change, seen from the workspace `home` at `now`.

        `enterprise` is the Enterprise organization that the workspace belongs to, if any.
        """
        offset = now.astimezone(ZoneInfo(self.tz)).utcoffset()
        first, _, last = self.real_name.partition(" ")
        stranger = self.team_id != home
        profile: Json = {
            "title": self.title,
            "phone": "",
            "skype": "",
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.real_name,
            "display_name_normalized": self.real_name,
            "fields": None,
            "status_text": "",
            "status_emoji": "",
            "status_emoji_display_info": [],
            "status_expiration": 0,
            "avatar_hash": f"g{self.id.lower()}",
            "first_name": first,
            "last_name": last,
            **{f"image_{size}": f"https://avatars.test/{self.id}_{size}.png" for size in (24, 32, 48, 72, 192, 512)},
            "status_text_canonical": "",
            "team": self.team_id,
        }
        if self.is_bot:
            profile |= {"api_app_id": self.app_id or "", "always_active": True, "bot_id": self.bot_id or ""}
        if with_email and self.email and not stranger and not self.is_bot:
            profile["email"] = self.email
        user: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": self.deleted,
            "profile": profile,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": self.updated,
        }
        if self.deleted:
            return user
        user |= {
            "color": "9f69e7",
            "real_name": self.real_name,
            "tz": self.tz,
            "tz_label": TIME_ZONE_LABELS.get(self.tz, now.astimezone(ZoneInfo(self.tz)).tzname() or self.tz),
            "tz_offset": int(offset.total_seconds()) if offset else 0,
            "is_admin": self.is_admin,
            "is_owner": self.is_owner,
            "is_primary_owner": False,
            "is_restricted": self.restricted,
            "is_ultra_restricted": self.ultra_restricted,
            "is_email_confirmed": self.email_confirmed,
            "who_can_share_contact_card": "EVERYONE",
        }
        if enterprise and not stranger:
            user["enterprise_user"] = {
                "id": self.id,
                "enterprise_id": enterprise["id"],
                "enterprise_name": enterprise["name"],
                "is_admin": False,
                "is_owner": False,
                "teams": [self.team_id],
            }
        if stranger:
            user["is_stranger"] = True
            del user["is_email_confirmed"]
        if with_locale:
            user["locale"] = "en-US"
        return user


@dataclass(slots=True, eq=False)
class UserGroup:
    """A user group, mentioned as @handle."""

    id: str
    handle: str
    name: str
    users: list[str]
    enabled: bool = True
    created: int = 0
    updated: int = 0

    def rich_text_element(self) -> Json:
        """Its mention in rich text."""
        return {"type": "usergroup", "usergroup_id": self.id}

    def render(self, team_id: str, *, with_users: bool, creator: str) -> Json:
        group: Json = {
            "id": self.id,
            "team_id": team_id,
            "is_usergroup": True,
            "is_subteam": True,
            "name": self.name,
            "description": "",
            "handle": self.handle,
            "is_external": False,
            "date_create": self.created,
            "date_update": self.updated,
            "date_delete": 0 if self.enabled else self.updated,
            "auto_type": None,
            "auto_provision": False,
            "enterprise_subteam_id": "",
            "created_by": creator,
            "updated_by": creator,
            "deleted_by": None if self.enabled else creator,
            "prefs": {"channels": [], "groups": []},
            "user_count": len(self.users),
            "channel_count": 0,
        }
        if with_users:
            group["users"] = list(self.users)
        return group


@dataclass(slots=True, eq=False)
class Message:
    """One message. `body` contains the fields that its author sent, in Slack's format; `render` adds threads
    and reactions.
    """

    channel_id: str
    ts: str
    author_id: str
    body: Json
    metadata: Json | None = None
    ephemeral_to: str | None = None
    thread_ts: str | None = None
    broadcast: bool = False
    by_app: bool = False
    deleted: bool = False
    edits: int = 0
    replies: list["Message"] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)

    def render(self, *, with_metadata: bool = False) -> Json:
        """The message object of the Web API and of events, without its channel."""
        message = dict(self.body)
        if self.thread_ts is not None:
            message["thread_ts"] = self.thread_ts
        if self.replies:
            authors = list(dict.fromkeys(reply.author_id for reply in self.replies))
            message |= {
                "thread_ts": self.ts,
                "reply_count": len(self.replies),
                "reply_users_count": len(authors),
                "latest_reply": self.replies[-1].ts,
                "reply_users": authors[:5],
                "is_locked": False,
                "subscribed": False,
            }
        if self.reactions:
            message["reactions"] = [
                {"name": name, "users": list(users), "count": len(users)} for name, users in self.reactions.items()
            ]
        if with_metadata and self.metadata is not None:
            message["metadata"] = self.metadata
        return message


@dataclass(slots=True, eq=False)
class Channel:
    """A channel or direct conversation, with its messages in chronological order."""

    id: str
    name: str
    private: bool = False
    is_im: bool = False
    user_id: str | None = None  # the person at the other end of a direct conversation
    shared_with: str | None = None  # the team id of another company
    hosted_by: str | None = None  # the team id of the workspace that the channel belongs to, if that is another
    org_shared: bool = False  # with other workspaces of the same Enterprise organization
    archived: bool = False
    created: int = 0
    creator: str = ""
    topic: str = ""
    purpose: str = ""
    members: list[str] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)  # by time stamp, replies included, oldest first

    def rich_text_element(self) -> Json:
        """Its mention in rich text."""
        return {"type": "channel", "channel_id": self.id}

    @property
    def type(self) -> str:
        """The `channel_type` of events."""
        if self.is_im:
            return "im"
        return "group" if self.private else "channel"

    def render(self, team_id: str, *, member: bool, with_num_members: bool = False) -> Json:
        """The `channel` object; `member` says whether the calling bot is in it."""
        if self.is_im:
            return {
                "id": self.id,
                "created": self.created,
                "is_archived": False,
                "is_im": True,
                "is_org_shared": False,
                "context_team_id": team_id,
                "updated": self.created * 1000,
                "user": self.user_id,
                "is_user_deleted": False,
                "priority": 0,
            }
        others = {self.shared_with, self.hosted_by} - {None, team_id}
        teams = [team_id, *sorted(str(other) for other in others)]
        channel: Json = {
            "id": self.id,
            "name": self.name,
            "is_channel": not self.private,
            "is_group": self.private,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.private,
            "created": self.created,
            "is_archived": self.archived,
            "is_general": False,
            "unlinked": 0,
            "name_normalized": self.name,
            "is_shared": bool(self.shared_with) or self.org_shared,
            "is_org_shared": self.org_shared,
            "is_pending_ext_shared": False,
            "pending_shared": [],
            "context_team_id": team_id,
            "updated": self.created * 1000,
            "parent_conversation": None,
            "creator": self.creator,
            "is_ext_shared": bool(self.shared_with),
            "shared_team_ids": teams,
            "pending_connected_team_ids": [],
            "is_member": member,
            "topic": {"value": self.topic, "creator": "", "last_set": 0},
            "purpose": {"value": self.purpose, "creator": "", "last_set": 0},
            "previous_names": [],
        }
        if self.shared_with:
            channel |= {
                "conversation_host_id": self.hosted_by or team_id,
                "internal_team_ids": [team_id],
                "connected_team_ids": teams[1:],
            }
        if with_num_members:
            channel["num_members"] = len(self.members)
        return channel
