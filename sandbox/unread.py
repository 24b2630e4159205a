"""The read mark of each person in each conversation, and the number of unread messages after it."""

from itertools import takewhile

from sandbox.records import Channel, Json, Message, User
from sandbox.workspace import Workspace, float_ts

# Unread messages are counted up to this number.
COUNTED = 100


class Unread:
    """Everybody's read marks. Used with the workspace's lock held."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._everything_up_to = "0.0"
        self._read: dict[tuple[str, str], str] = {}

    def everything_is_read(self) -> None:
        """Mark everything as read by everybody."""
        self._everything_up_to = self._workspace.next_ts()

    def read(self, user: User, channel: Channel, ts: str) -> None:
        """Mark everything up to `ts` as read; raises ValueError for an invalid time stamp."""
        if float_ts(ts) > float_ts(self._mark(user, channel)):
            self._read[user.id, channel.id] = ts

    def save_state(self) -> Json:
        """The marks, for saving."""
        return {
            "everything": self._everything_up_to,
            "marks": [[user, channel, ts] for (user, channel), ts in self._read.items()],
        }

    def restore_state(self, saved: Json) -> None:
        """Restore saved marks."""
        self._everything_up_to = saved["everything"]
        self._read = {(user, channel): ts for user, channel, ts in saved["marks"]}

    def of(self, user: User, channel: Channel) -> Json:
        """The number of unread messages of others, and the number of those that concern the person."""
        mark = float_ts(self._mark(user, channel))
        unread = mentions = 0
        for message in takewhile(lambda m: float_ts(m.ts) > mark, reversed(channel.messages.values())):
            if message.author_id == user.id or (message.thread_ts is not None and not message.broadcast):
                continue
            unread += 1
            mentions += channel.is_im or self._concerns(user, message)
            if unread >= COUNTED:
                break
        return {"unread": unread, "mentions": mentions, "read": self._mark(user, channel)}

    def _mark(self, user: User, channel: Channel) -> str:
        own = self._read.get((user.id, channel.id), "0.0")
        return max(own, self._everything_up_to, key=float_ts)

    def _concerns(self, user: User, message: Message) -> bool:
        text = str(message.body.get("text", ""))
        groups = [group.id for group in self._workspace.usergroups.values() if user.id in group.users]
        named = [f"<@{user.id}", *(f"<!subteam^{group}" for group in groups), "<!here", "<!channel", "<!everyone"]
        return any(one in text for one in named)
