"""The state of the workspace (people, channels, members, messages, user groups) and its changes, each with the
events it causes. The callers, `api` and `driver`, check the permissions of a token or a person.
"""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sandbox import events
from sandbox.clock import Clock
from sandbox.errors import SlackError
from sandbox.records import App, Channel, Json, Message, User, UserGroup

# Called with each inner event, with the channel it happened in (None: the whole workspace) and the author's team.
EventListener = Callable[[Json, Channel | None, str], None]

# Called with each object whose display has changed, with the lock held: a Message (new, changed, deleted), a
# Channel (its members), a User (their record, forms and Home).
Watcher = Callable[[Message | Channel | User], None]


# Ephemeral messages are removed after this many more: Slack's clients do the same, but sooner.
EPHEMERALS_KEPT = 1_000


class Workspace:
    """One workspace. `lock` guards everything in it; `changed` wakes the threads that wait for a
    change.
    """

    def __init__(
        self, *, team_id: str, name: str, domain: str, app: App, clock: Clock, enterprise: Json | None = None
    ) -> None:
        self.team_id = team_id
        self.name = name
        self.domain = domain
        self.enterprise = enterprise  # `id` and `name` of the Enterprise organization that it belongs to
        self.app = app
        self.clock = clock
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.usergroups: dict[str, UserGroup] = {}
        self.ephemerals: dict[str, list[Message]] = {}
        self.on_event: EventListener | None = None
        self.watchers: list[Watcher] = []
        self.installed_as: Callable[[], str] = lambda: team_id  # the workspace, or the Enterprise organization
        self._last_ts = 0
        self.add_user(
            User(
                id=app.bot_user_id,
                name=app.name.lower(),
                real_name=app.name,
                team_id=team_id,
                is_bot=True,
                bot_id=app.bot_id,
                app_id=app.app_id,
            )
        )

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock during a change, then wake the waiting threads."""
        with self.lock:
            yield
            self.changed.notify_all()

    def looks_new(self, thing: Message | Channel | User) -> None:
        """Notify the watchers; call it inside `changing`."""
        for watcher in self.watchers:
            watcher(thing)

    def next_ts(self) -> str:
        """A new time stamp: microseconds on the workspace's clock, strictly increasing even when called
        more often than that.
        """
        with self.lock:
            self._last_ts = max(self._last_ts + 1, int(self.clock.now() * 1_000_000))
            return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def not_before(self, moment: tuple[int, int]) -> None:
        """Make all further time stamps later than this one (as `float_ts` reads it)."""
        self._last_ts = max(self._last_ts, moment[0] * 1_000_000 + moment[1])

    # -- people and conversations

    def add_user(self, user: User) -> User:
        with self.changing():
            user.updated = int(self.clock.now())
            self.users[user.id] = user
            self.ephemerals.setdefault(user.id, [])
            self.looks_new(user)
        return user

    def user(self, user_id: str) -> User:
        """A user by id; raises SlackError `user_not_found`."""
        try:
            return self.users[user_id]
        except KeyError:
            raise SlackError("user_not_found") from None

    def channel(self, channel_id: str) -> Channel:
        """A channel by id or `#name`; raises SlackError `channel_not_found`."""
        found = self.channels.get(channel_id)
        if found is None:
            name = channel_id.removeprefix("#")
            found = next((c for c in self.channels.values() if c.name == name and not c.is_im), None)
        if found is None:
            raise SlackError("channel_not_found")
        return found

    def message(self, channel: Channel, ts: str) -> Message:
        """A message that everyone in `channel` sees; raises SlackError `message_not_found`."""
        found = channel.messages.get(ts)
        if found is None or found.deleted:
            raise SlackError("message_not_found")
        return found

    def direct(self, user_id: str) -> Channel:
        """The direct conversation between the bot and a person, created if it does not exist yet."""
        channel_id = "D" + user_id[1:]
        with self.lock:
            channel = self.channels.get(channel_id)
            if channel is None:
                channel = Channel(
                    id=channel_id,
                    name="",
                    is_im=True,
                    user_id=user_id,
                    created=int(self.clock.now()),
                    members=[user_id, self.app.bot_user_id],
                )
                self.channels[channel_id] = channel
                self.looks_new(channel)
            return channel

    def hears(self, channel: Channel) -> bool:
        """Whether the bot is in `channel`."""
        return self.app.bot_user_id in channel.members

    def _tell(self, event: Json, channel: Channel | None = None, *, author: User | None = None) -> None:
        if self.on_event is None or (channel is not None and not self.hears(channel)):
            return
        self.on_event(event, channel, author.team_id if author else self.team_id)

    # -- membership

    def join(self, channel: Channel, user: User, inviter: str | None = None) -> bool:
        """Add `user` to `channel`; returns False when they were already a member."""
        with self.changing():
            if user.id in channel.members:
                return False
            channel.members.append(user.id)
            self.looks_new(channel)
            self._say_membership(channel, user, "channel_join", "has joined the channel", inviter)
            self._tell(events.membership("member_joined_channel", channel, user, self.next_ts(), inviter), channel)
            return True

    def leave(self, channel: Channel, user: User) -> bool:
        """Remove `user` from `channel`; returns False when they were not a member."""
        with self.changing():
            if user.id not in channel.members:
                return False
            left = events.membership("member_left_channel", channel, user, self.next_ts())
            if user.id == self.app.bot_user_id:
                # The app is notified of its own leaving by `channel_left` or `group_left`, since it receives no
                # more events of the channel.
                kind = "group_left" if channel.private else "channel_left"
                gone = {
                    "type": kind,
                    "channel": channel.id,
                    "actor_id": user.id,
                    "event_ts": left["event_ts"],
                }
                self._tell(left, channel)
                self._tell(gone)
                channel.members.remove(user.id)
                self.looks_new(channel)
                return True
            channel.members.remove(user.id)
            self.looks_new(channel)
            self._say_membership(channel, user, "channel_leave", "has left the channel", None)
            self._tell(left, channel)
            return True

    def _say_membership(self, channel: Channel, user: User, subtype: str, words: str, inviter: str | None) -> None:
        if channel.private:
            subtype = subtype.replace("channel", "group")
            words = words.replace("channel", "group")
        body: Json = {"subtype": subtype, "text": f"<@{user.id}> {words}"}
        if inviter is not None:
            body["inviter"] = inviter
        self.post(channel, user, body)

    # -- messages

    def post(
        self,
        channel: Channel,
        author: User,
        body: Json,
        *,
        metadata: Json | None = None,
        thread_ts: str | None = None,
        broadcast: bool = False,
        by_app: bool = False,
        mentions_app: bool = False,
    ) -> Message:
        """Post a message in `channel` and send the event to the app.

        `body` contains text, blocks and any other content; user, team, type and ts are added here. A reply
        to a reply goes to the thread's root, as in Slack. Raises SlackError
        `thread_not_found`.
        """
        with self.changing():
            root = self._root(channel, thread_ts)
            ts = self.next_ts()
            complete: Json = {"user": author.id, "type": "message", "ts": ts}
            if by_app:
                complete |= {
                    "bot_id": self.app.bot_id,
                    "app_id": self.app.app_id,
                    "bot_profile": self.app.profile(self.team_id, int(self.clock.now())),
                }
            elif author.is_bot:
                complete["bot_id"] = author.bot_id or f"B{author.id[1:]}"
            elif body.get("subtype") in (None, "file_share"):
                complete["client_msg_id"] = str(uuid.uuid4())
            complete |= {"team": author.team_id, **body}
            if root is not None:
                complete["parent_user_id"] = root.author_id
            if broadcast:
                complete["subtype"] = "thread_broadcast"
            message = Message(
                channel_id=channel.id,
                ts=ts,
                author_id=author.id,
                body=complete,
                metadata=metadata,
                thread_ts=root.ts if root else None,
                broadcast=broadcast and root is not None,
                by_app=by_app,
            )
            channel.messages[ts] = message
            if root is not None:
                root.replies.append(message)
                self.looks_new(root)
            self.looks_new(message)
            self._tell(events.message(channel, message, author, self.team_id, root=root), channel, author=author)
            if mentions_app:
                self._tell(events.app_mention(channel, message, author, self.team_id), channel, author=author)
            return message

    def _root(self, channel: Channel, thread_ts: str | None) -> Message | None:
        if thread_ts is None:
            return None
        root = channel.messages.get(thread_ts)
        if root is None or (root.deleted and not root.replies):
            raise SlackError("thread_not_found")
        return channel.messages[root.thread_ts] if root.thread_ts is not None else root

    def post_ephemeral(self, channel: Channel, user: User, body: Json, thread_ts: str | None = None) -> Message:
        """Show a message to one person only. It causes no event and is not in the history."""
        with self.changing():
            ts = self.next_ts()
            complete: Json = {
                "user": self.app.bot_user_id,
                "type": "message",
                "ts": ts,
                "bot_id": self.app.bot_id,
                "app_id": self.app.app_id,
                "team": self.team_id,
                **body,
            }
            message = Message(
                channel_id=channel.id,
                ts=ts,
                author_id=self.app.bot_user_id,
                body=complete,
                ephemeral_to=user.id,
                thread_ts=thread_ts,
                by_app=True,
            )
            shown = self.ephemerals[user.id]
            shown.append(message)
            if len(shown) > EPHEMERALS_KEPT:
                del shown[: EPHEMERALS_KEPT // 2]
            self.looks_new(message)
            return message

    def edit(
        self, message: Message, changes: Json, *, editor: User | None = None, metadata: Json | None = None
    ) -> None:
        """Change a message; an empty list or empty metadata removes the previous value.

        `editor` marks it as edited, as Slack does for people and not for unfurls.
        """
        with self.changing():
            before = message.render()
            event_ts = self.next_ts()
            body = {key: value for key, value in {**message.body, **changes}.items() if value != []}
            if editor is not None:
                body["edited"] = {"user": editor.id, "ts": event_ts}
            message.body = body  # replaced, never mutated: it is read without the lock
            if metadata is not None:
                message.metadata = metadata or None
            message.edits += 1
            self.looks_new(message)
            if message.ephemeral_to is None:
                channel = self.channels[message.channel_id]
                self._tell(events.message_changed(channel, before, message, event_ts), channel, author=editor)

    def delete(self, message: Message) -> None:
        """Delete a message. A thread's root with replies stays as a tombstone, so that its thread can be
        read.
        """
        with self.changing():
            message.deleted = True
            self.looks_new(message)
            if message.ephemeral_to is not None:
                if message in self.ephemerals[message.ephemeral_to]:
                    self.ephemerals[message.ephemeral_to].remove(message)
                return
            channel = self.channels[message.channel_id]
            if message.thread_ts is not None:
                root = channel.messages[message.thread_ts]
                root.replies.remove(message)
                self.looks_new(root)
            if message.replies:
                before = message.render()
                message.body = {
                    "type": "message",
                    "subtype": "tombstone",
                    "text": "This message was deleted.",
                    "user": "USLACKBOT",
                    "hidden": True,
                    "ts": message.ts,
                }
                self._tell(events.message_changed(channel, before, message, self.next_ts()), channel)
                return
            del channel.messages[message.ts]
            self._tell(events.message_deleted(channel, message, self.next_ts()), channel)

    def react(self, message: Message, name: str, user: User) -> None:
        """Add a reaction; raises SlackError `already_reacted`."""
        with self.changing():
            users = message.reactions.setdefault(name, [])
            if user.id in users:
                raise SlackError("already_reacted")
            users.append(user.id)
            self.looks_new(message)
            channel = self.channels[message.channel_id]
            event = events.reaction("reaction_added", channel, message, name, user.id, self.next_ts())
            self._tell(event, channel, author=user)

    def unreact(self, message: Message, name: str, user: User) -> None:
        """Remove a reaction; raises SlackError `no_reaction`."""
        with self.changing():
            users = message.reactions.get(name, [])
            if user.id not in users:
                raise SlackError("no_reaction")
            users.remove(user.id)
            if not users:
                del message.reactions[name]
            self.looks_new(message)
            channel = self.channels[message.channel_id]
            event = events.reaction("reaction_removed", channel, message, name, user.id, self.next_ts())
            self._tell(event, channel, author=user)

    def announce(self, event: Json, channel: Channel | None = None) -> None:
        """Send the app an event that changes no message: a Home opened, a channel archived, a person
        changed.
        """
        with self.changing():
            self._tell(event, channel)

    def visible(self, channel: Channel, user_id: str) -> list[Message]:
        """The messages one person sees in a channel, oldest first: its timeline and their ephemeral messages."""
        with self.lock:
            shown = [m for m in channel.messages.values() if m.thread_ts is None or m.broadcast]
            alone = [m for m in self.ephemerals.get(user_id, []) if m.channel_id == channel.id]
            return sorted([*shown, *alone], key=lambda m: float_ts(m.ts))


def float_ts(ts: str) -> tuple[int, int]:
    """A time stamp as (seconds, microseconds), which sorts; raises ValueError when it is invalid."""
    seconds, _, micro = ts.partition(".")
    return int(seconds), int(micro.ljust(6, "0") or 0)


def as_mapping(value: Any) -> Json:
    """`value` when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}
