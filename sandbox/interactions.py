"""Triggers (valid for three seconds, once) and response URLs (thirty minutes, five uses) that an interaction
issues to the app, and their use.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sandbox import payload_checks
from sandbox.blocks import completed
from sandbox.clock import Clock
from sandbox.errors import SlackError
from sandbox.records import Channel, Json, Message, User
from sandbox.workspace import Workspace

TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS = 30 * 60.0
RESPONSE_URL_USES = 5

# How long an ended trigger or URL is remembered, so that its use gets a specific error, not that of an unknown one.
REMEMBERED_SECONDS = 60.0


@dataclass(slots=True)
class Trigger:
    """The right to open one form for one person, shortly after they did something."""

    id: str
    user_id: str
    issued_at: float
    view_id: str | None  # the form that the action happened in, if any
    used: bool = False


class Triggers:
    """The issued triggers, removed some time after they expire."""

    def __init__(self, clock: Clock, team_number: str) -> None:
        self._clock = clock
        self._team_number = team_number
        self._issued: dict[str, Trigger] = {}
        self._count = 0
        self._lock = threading.Lock()

    def issue(self, user_id: str, view_id: str | None = None) -> str:
        """A new trigger id, in Slack's three-part form."""
        now = self._clock.now()
        trigger_id = f"{int(now * 1000)}.{self._team_number}.{secrets.token_hex(16)}"
        with self._lock:
            self._count += 1
            self._issued[trigger_id] = Trigger(trigger_id, user_id, now, view_id)
            if self._count % 1000 == 0:
                recent = {key: one for key, one in self._issued.items() if one.issued_at > now - REMEMBERED_SECONDS}
                self._issued = recent
        return trigger_id

    def __contains__(self, trigger_id: object) -> bool:
        return trigger_id in self._issued

    def exchange(self, trigger_id: str) -> Trigger:
        """Use a trigger, which is valid once.

        Raises SlackError `invalid_trigger_id`, `exchanged_trigger_id` (it was used) or `expired_trigger_id`.
        """
        with self._lock:
            trigger = self._issued.get(trigger_id)
            if trigger is None:
                raise SlackError("invalid_trigger_id")
            if trigger.used:
                raise SlackError("exchanged_trigger_id")
            if self._clock.now() - trigger.issued_at > TRIGGER_SECONDS:
                raise SlackError("expired_trigger_id")
            trigger.used = True
            return trigger


@dataclass(slots=True)
class ResponseUrl:
    """A URL at which the app may respond to one interaction, for a limited time and number of uses."""

    path: str
    user: User
    channel: Channel
    original: Message | None  # the message that `replace_original` and `delete_original` change
    expires_at: float
    uses: int = 0


class ResponseUrls:
    """The issued response URLs, and the effect of posting to one of them."""

    def __init__(self, workspace: Workspace, on_problem: Callable[[str, str], None]) -> None:
        self._workspace = workspace
        self._on_problem = on_problem
        self._urls: dict[str, ResponseUrl] = {}
        self._count = 0
        self.base = ""

    def issue(self, kind: str, user: User, channel: Channel, original: Message | None = None) -> str:
        """A new URL; `kind` is the first part of its path as in Slack: `commands`, `actions` or `app`."""
        now = self._workspace.clock.now()
        with self._workspace.lock:
            self._count += 1
            number = f"{int(now * 1000)}{self._count}"
            path = f"/{kind}/{self._workspace.team_id}/{number}/{secrets.token_urlsafe(18)}"
            self._urls[path] = ResponseUrl(path, user, channel, original, now + RESPONSE_URL_SECONDS)
            if self._count % 1000 == 0:
                ended = now - REMEMBERED_SECONDS
                self._urls = {key: url for key, url in self._urls.items() if url.expires_at > ended}
        return self.base + path

    def use(self, path: str, payload: Json) -> Message | None:
        """Carry out the app's request; returns the message that was posted or changed.

        Raises SlackError `invalid_url`, `expired_url`, `used_url`, `no_text`, `invalid_blocks`, …
        """
        with self._workspace.changing():
            url = self._urls.get(path)
            if url is None:
                raise SlackError("invalid_url")
            if self._workspace.clock.now() > url.expires_at:
                raise SlackError("expired_url")
            if url.uses >= RESPONSE_URL_USES:
                raise SlackError("used_url")
            deletes, replaces = _flag(payload, "delete_original"), _flag(payload, "replace_original")
            original = url.original
            if not deletes:
                # What replaces a message is seen by those who saw it, whatever the response type.
                ephemeral = payload.get("response_type") != "in_channel"
                if replaces and original is not None:
                    ephemeral = original.ephemeral_to is not None
                payload_checks.require_message(payload, ephemeral=ephemeral)
            url.uses += 1
            if deletes or (replaces and original is not None):
                return self._act_on_original(original, payload, deletes=deletes)
            if replaces:
                # The URL of a command has no original message: Slack posts a new one without an error.
                self._on_problem("no_original", "replace_original without an original: a new message was posted")
            return answer(self._workspace, url.user, url.channel, payload)

    def _act_on_original(self, original: Message | None, payload: Json, *, deletes: bool) -> Message | None:
        if original is None or original.deleted:
            raise SlackError("no_original")
        if not original.by_app:
            raise SlackError("cant_update_message")
        if deletes:
            self._workspace.delete(original)
            return None
        emptied: Json = {"blocks": [], "attachments": []}
        self._workspace.edit(original, emptied | message_body(payload), metadata=payload.get("metadata"))
        return original


def _flag(payload: Json, key: str) -> bool:
    """Slack accepts these flags as JSON booleans and as strings."""
    return payload.get(key) in (True, "true", 1, "1")


def message_body(payload: Json) -> Json:
    """The part of an app's message that is stored and shown."""
    body: Json = {"text": str(payload.get("text") or "")}
    body["blocks"] = completed(payload.get("blocks") or [])
    if not body["blocks"]:
        del body["blocks"]
    if payload.get("attachments"):
        body["attachments"] = [
            {"id": number, **attachment} | _attachment_blocks(attachment)
            for number, attachment in enumerate(payload["attachments"], 1)
        ]
    return body


def _attachment_blocks(attachment: Json) -> Json:
    return {"blocks": completed(attachment["blocks"])} if attachment.get("blocks") else {}


def answer(workspace: Workspace, user: User, channel: Channel, payload: Json) -> Message:
    """Post an app's response to an interaction: ephemeral, unless it says `in_channel`.

    It is posted in the channel, even when the interaction was in a thread, unless it has a `thread_ts`:
    docs.slack.dev/interactivity/handling-user-interaction, "publishing responses in thread".
    """
    thread_ts = str(payload["thread_ts"]) if payload.get("thread_ts") else None
    body = message_body(payload)
    if payload.get("response_type") == "in_channel":
        bot = workspace.users[workspace.app.bot_user_id]
        return workspace.post(channel, bot, body, metadata=payload.get("metadata"), thread_ts=thread_ts, by_app=True)
    return workspace.post_ephemeral(channel, user, body, thread_ts)
