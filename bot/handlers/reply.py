"""A reply in a card's thread as its message says it: words, what was forwarded with them, and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.incidents.markup import escape
from bot.messages.blocks import truncate
from bot.people import quoting
from bot.people.identity import SlackAway
from bot.slack.clients import Clients
from bot.slack.files import FileHidden, get_file
from bot.slack.requests import Event, Person, find_home_team

# What Slack calls the messages that somebody writes: plain, with a file, also sent to the channel, and `/me`.
WRITTEN = frozenset({None, "file_share", "thread_broadcast", "me_message"})
MAX_FORWARDED_LENGTH = 2000  # characters of a forwarded message; its link leads to the rest
MAX_FILE_LOOKUPS = 5  # files; Slack is asked about each of them while the event waits


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
    hidden: int = 0  # files that Slack does not show the bot

    def extra_texts(self) -> list[str]:
        """Stored text of what it brings beside its words."""
        links = [link for file in self.files if (link := _link(file))]
        return [*self.forwarded, *links]


def find_reply(event: Event, said: Mapping[str, Any]) -> Reply | None:
    """The reply that a message is; None for what stands in no thread, or was not written by a person."""
    thread_ts, ts, user_id = said.get("thread_ts"), said.get("ts"), said.get("user")
    if not thread_ts or not user_id or thread_ts == ts or said.get("bot_id") or said.get("subtype") not in WRITTEN:
        return None
    edited = said.get("edited") or {}
    home = find_home_team(said.get("user_team"), said.get("source_team"), said.get("team"))
    return Reply(
        person=Person(event.workspace_id, str(user_id), home),
        channel_id=str(event.event.get("channel")),
        ts=str(ts),
        thread_ts=str(thread_ts),
        text=str(said.get("text") or ""),
        forwarded=tuple(_forwarded(one) for one in said.get("attachments") or [] if one.get("is_share")),
        files=tuple(said.get("files") or []),
        edited_ts=str(edited["ts"]) if edited.get("ts") else None,
    )


def fetch_files(reply: Reply, clients: Clients) -> Reply:
    """The reply with the files that Slack only names, as it does in channels shared with another company.

    Raises SlackAway where Slack cannot tell of them now.
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
    return f"<{escape(link).replace('|', '%7C')}|{escape(name).replace('|', '¦')}>"


def _forwarded(attachment: Mapping[str, Any]) -> str:
    """A forwarded message: whoever forwards it into the thread wants it said there."""
    author = str(attachment.get("author_name") or "Someone")
    link = str(attachment.get("from_url") or "") or None
    return truncate(quoting.quote(author, link, quoting.plain_text(attachment)), MAX_FORWARDED_LENGTH)
