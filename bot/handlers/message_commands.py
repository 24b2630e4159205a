"""Commands in messages: in a direct message to the bot, or in a message that mentions it.

Only the caller sees the answer. Such a message is a command and never a comment.
"""

from __future__ import annotations

from bot.slack.clients import Clients
from bot.slack.requests import Command, Event

# The subtypes of new messages of people: plain, with a file, and also sent to the channel.
_WRITTEN = frozenset({None, "file_share", "thread_broadcast"})


def find_command(event: Event, clients: Clients) -> Command | None:
    """The command in a message event; None where it is no new message of a person to the bot."""
    message = event.event
    installation = clients.find(event.workspace_id)
    person = event.person()
    if installation is None or person is None or message.get("bot_id") or message.get("subtype") not in _WRITTEN:
        return None
    if person.user_id == installation.bot_user_id:
        return None
    text = str(message.get("text") or "")
    mention = f"<@{installation.bot_user_id}"
    if event.kind == "message":
        if message.get("channel_type") != "im":
            return None
    elif mention not in text:
        return None
    channel_id = str(message.get("channel"))
    return Command(
        person=person,
        channel_id=channel_id,
        response_url=None,
        trigger_id=None,
        # Slack sends one event for the message and one for the mention, with different ids.
        key=f"said:{channel_id}:{message.get('ts')}",
        payload=message,
        text=_words_after_mention(text, mention),
        in_message=True,
        thread_ts=message.get("thread_ts"),
    )


def _words_after_mention(text: str, mention: str) -> str:
    """What follows the mention of the bot, or everything where it is not mentioned."""
    _, found, after = text.partition(mention)
    if not found:
        return text.strip()
    # `<@U…>` may carry a name: `<@U…|tocsin>`.
    return after.partition(">")[2].lstrip(" :,").strip()
