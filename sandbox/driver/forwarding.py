"""The attachment that Slack builds for a forwarded message."""

from sandbox.api.chat import permalink
from sandbox.platform import Platform
from sandbox.records import Json, Message


def forwarded(platform: Platform, message: Message) -> Json:
    """The attachment that shows a message in another conversation."""
    author = platform.workspace.users[message.author_id]
    text = str(message.body.get("text") or "")
    url = permalink(platform, message)
    attachment: Json = {
        "id": 1,
        "ts": message.ts,
        "channel_id": message.channel_id,
        "channel_team": platform.workspace.team_id,
        "is_msg_unfurl": True,
        "is_share": True,
        "author_id": author.id,
        "author_name": author.real_name,
        "author_subname": author.real_name,
        "from_url": url,
        "original_url": url,
        "fallback": f"[{message.ts}] {author.name}: {text}",
        "text": text,
        "mrkdwn_in": ["text"],
        "color": "D0D0D0",
        "footer": "Posted in Slack",
    }
    if message.body.get("files"):
        attachment["files"] = message.body["files"]
    return attachment
