"""A reply in the thread of a card: its text, forwarded messages and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.incidents.markup import encode_entities
from bot.messages.blocks import truncate
from bot.people import quoting
from bot.people.identity import SlackAway
from bot.slack.clients import Clients
from bot.slack.files import FileHidden, get_file
from bot.slack.requests import Event, Person, find_home_team

# The subtypes of messages that people write: plain, with a file, also sent to the channel, and `/me`.
WRITTEN = frozenset({None, "file_share", "thread_broadcast", "me_message"})
MAX_FORWARDED_LENGTH = 2000  # characters; the link leads to the rest
MAX_FILE_LOOKUPS = 5  # files; each is a call to Slack while the event waits


@dataclass(frozen=True, slots=True)
class Reply:
    """A person's reply."""

    person: Person
    channel_id: str
    ts: str
    thread_ts: str
    text: str
    forwarded: tuple[str, ...]  # stored text of each message that was forwarded with it
    files: tuple[Mapping[str, Any], ...]  # Slack's file objects
    edited_ts: str | None
    hidden: int = 0  # number of files that the bot may not see

    def extra_texts(self) -> list[str]:
        """The forwarded messages and the links to files, as stored text."""
        links = [link for file in self.files if (link := _link(file))]
        return [*self.forwarded, *links]


def find_reply(event: Event, payload: Mapping[str, Any]) -> Reply | None:
    """The reply in a message object; None where it is in no thread, or no person wrote it."""
    thread_ts, ts, user_id = payload.get("thread_ts"), payload.get("ts"), payload.get("user")
    if (
        not thread_ts
        or not user_id
        or thread_ts == ts
        or payload.get("bot_id")
        or payload.get("subtype") not in WRITTEN
    ):
        return None
    edited = payload.get("edited") or {}
    home = find_home_team(payload.get("user_team"), payload.get("source_team"), payload.get("team"))
    return Reply(
        person=Person(event.workspace_id, str(user_id), home),
        channel_id=str(event.event.get("channel")),
        ts=str(ts),
        thread_ts=str(thread_ts),
        text=str(payload.get("text") or ""),
        forwarded=tuple(_forwarded(one) for one in payload.get("attachments") or [] if one.get("is_share")),
        files=tuple(payload.get("files") or []),
        edited_ts=str(edited["ts"]) if edited.get("ts") else None,
    )


def fetch_files(reply: Reply, clients: Clients) -> Reply:
    """The reply with its files looked up: in channels shared with another company, an event has only their ids.

    Raises SlackAway where Slack cannot answer for now.
    """
    installation = clients.find(reply.person.workspace_id)
    found: list[Mapping[str, Any]] = []
    hidden = asked = 0
    for file in reply.files:
        if file.get("file_access") == "check_file_info" and installation is not None and asked < MAX_FILE_LOOKUPS:
            asked += 1
            try:
                found.append(get_file(installation.client, str(file.get("id"))))
            except FileHidden:
                hidden += 1
            except OSError as error:
                raise SlackAway from error
        else:
            found.append(file)
            hidden += not _link(file)
    return replace(reply, files=tuple(found), hidden=hidden)


def _link(file: Mapping[str, Any]) -> str | None:
    link = str(file.get("permalink") or "")
    if not link.startswith(("https://", "http://")):
        return None
    name = str(file.get("name") or file.get("title") or "file")
    return f"<{encode_entities(link).replace('|', '%7C')}|{encode_entities(name).replace('|', '¦')}>"


def _forwarded(attachment: Mapping[str, Any]) -> str:
    """A forwarded message as stored text."""
    author = str(attachment.get("author_name") or "Someone")
    link = str(attachment.get("from_url") or "") or None
    return truncate(quoting.quote(author, link, quoting.plain_text(attachment)), MAX_FORWARDED_LENGTH)
