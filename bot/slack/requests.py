"""The requests of Slack as plain values. Clients send them, so every field may hold anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self

from slack_bolt.request.internals import extract_enterprise_id, extract_is_enterprise_install, extract_team_id

Payload = Mapping[str, Any]
_ENTERPRISE = "E"  # how the ids of Enterprise organizations begin; those of workspaces begin with T
# Where a button is: in a message that others see too, in an ephemeral one, in a form, in Home.
Surface = Literal["message", "ephemeral", "modal", "home"]


@dataclass(frozen=True, slots=True)
class Person:
    """The user who sent a request."""

    workspace_id: str  # the workspace in which the bot was asked
    user_id: str
    home_team: str | None  # the workspace that the user belongs to; None where the payload does not say


@dataclass(frozen=True, slots=True)
class Request:
    """What all requests have in common."""

    person: Person
    channel_id: str | None  # None outside of a conversation
    response_url: str | None
    trigger_id: str | None  # opens one form, within three seconds
    key: str | None  # identifies the request: a second one with the same key is a repeated delivery
    payload: Payload = field(repr=False)


@dataclass(frozen=True, slots=True)
class Command(Request):
    """A slash command, or the same words in a message to the bot."""

    text: str = ""
    in_message: bool = False  # whether it came in a message
    thread_ts: str | None = None  # the thread of that message


@dataclass(frozen=True, slots=True)
class Press(Request):
    """A block action: a button was pressed, or an option chosen in a menu."""

    action_id: str = ""
    block_id: str = ""  # the block of the button
    value: str = ""
    surface: Surface = "message"
    message_ts: str | None = None
    thread_ts: str | None = None  # the thread in which the message is a reply
    view: Payload | None = None  # the form or Home with the button


@dataclass(frozen=True, slots=True)
class Submission(Request):
    """A view submission: a form was submitted."""

    callback_id: str = ""
    view_id: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)  # from the private metadata of the form; see Origin
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # element state by block_id

    def text(self, block_id: str) -> str:
        """The text of a plain text field; empty where nothing was typed."""
        return str(self.values.get(block_id, {}).get("value") or "")

    def chosen(self, block_id: str) -> str | None:
        """The value of the chosen option; None where none was chosen."""
        option = self.values.get(block_id, {}).get("selected_option")
        return None if option is None else str(option["value"])

    def user(self, block_id: str) -> str | None:
        """The Slack id of the person that was chosen; None where nobody was."""
        chosen = self.values.get(block_id, {}).get("selected_user")
        return str(chosen) if chosen else None

    def date(self, block_id: str) -> str:
        """The date that was picked, as 2026-11-01; empty where none was."""
        return str(self.values.get(block_id, {}).get("selected_date") or "")

    def moment(self, block_id: str) -> datetime | None:
        """The date and time that were picked; None where none were."""
        seconds = self.values.get(block_id, {}).get("selected_date_time")
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and abs(seconds) < 1e11 else None

    def checked(self, block_id: str) -> list[str]:
        """The values of the boxes that were ticked, or of the options that were chosen in a menu of several."""
        options = self.values.get(block_id, {}).get("selected_options") or []
        return [str(option["value"]) for option in options]

    def rich_text(self, block_id: str) -> Mapping[str, Any] | None:
        """The rich text block of a rich text field; None where nothing was typed."""
        found = self.values.get(block_id, {}).get("rich_text_value")
        return found if isinstance(found, Mapping) else None


def find_workspace(payload: Payload) -> str:
    """The workspace in which the bot is installed and the request was made, as Slack's own SDK finds it.

    In a channel that another company hosts an event names their workspace, and ours in its authorization; an action
    there names ours, and the person's own names theirs; a form that was opened there names theirs, and ours as where
    the app is installed. An app that is installed for a whole Enterprise organization is authorized for no workspace
    in particular, and then the one counts in which it happened; a form that was opened there names the Enterprise
    organization, and with the person their workspace.
    """
    found = str(extract_team_id(dict(payload)) or payload.get("team_id") or "")
    if not found.startswith(_ENTERPRISE):
        return found
    claims = (_get(payload, "team", "id"), payload.get("team_id"), _get(payload, "user", "team_id"))
    return find_home_team(*claims, _get(payload, "view", "team_id")) or ""


def _get(payload: Payload, part: str, name: str) -> object:
    found = payload.get(part)
    return found.get(name) if isinstance(found, Mapping) else None


def find_false_claim(payload: Payload, app_id: str | None, enterprise_id: str | None) -> str | None:
    """What a request names that is not of the installation in its workspace; None where all is.

    `app_id` is the app of the installation, if known, and `enterprise_id` its Enterprise organization.
    """
    claimed = payload.get("api_app_id")
    if app_id and claimed and claimed != app_id:
        return "app"
    of_enterprise = extract_is_enterprise_install(dict(payload))
    return "enterprise" if of_enterprise and extract_enterprise_id(dict(payload)) != enterprise_id else None


def find_home_team(*claims: object) -> str | None:
    """The workspace that a user belongs to: the first of these ids that is a workspace's, and not an Enterprise's."""
    return next((str(claim) for claim in claims if str(claim or "").startswith("T")), None)


def command_from(payload: Payload) -> Command:
    """A slash command as Slack sends it."""
    person = Person(find_workspace(payload), str(payload["user_id"]), None)
    return Command(
        person=person,
        channel_id=payload.get("channel_id"),
        response_url=payload.get("response_url"),
        trigger_id=payload.get("trigger_id"),
        key=_key(payload),
        payload=payload,
        text=str(payload.get("text") or ""),
    )


def _key(payload: Payload) -> str | None:
    return f"trigger:{payload['trigger_id']}" if payload.get("trigger_id") else None


def _person(payload: Payload) -> Person:
    user = payload["user"]
    return Person(find_workspace(payload), str(user["id"]), find_home_team(user.get("team_id")))


def press_from(payload: Payload) -> Press:
    """A `block_actions` payload as Slack sends it; of several actions, the first.

    All entries of a `⋯` menu have its one action_id; the value of the entry says which action it is for.
    """
    action = payload["actions"][0]
    container = payload.get("container") or {}
    option = action.get("selected_option") or {}
    action_id, value = str(action["action_id"]), str(action.get("value") or option.get("value") or "")
    if action.get("type") == "overflow":
        action_id, _, value = value.partition(" ")
    return Press(
        person=_person(payload),
        channel_id=(payload.get("channel") or {}).get("id") or container.get("channel_id"),
        response_url=payload.get("response_url"),
        trigger_id=payload.get("trigger_id"),
        key=_key(payload),
        payload=payload,
        action_id=action_id,
        block_id=str(action.get("block_id") or ""),
        value=value,
        surface=_surface(payload),
        message_ts=container.get("message_ts"),
        thread_ts=_thread(container),
        view=payload.get("view"),
    )


def _thread(container: Payload) -> str | None:
    thread_ts = container.get("thread_ts")
    # The first message of a thread stands in the channel, where it may be read without its thread.
    return str(thread_ts) if thread_ts and thread_ts != container.get("message_ts") else None


def _surface(payload: Payload) -> Surface:
    view = payload.get("view")
    if view:
        return "home" if view.get("type") == "home" else "modal"
    return "ephemeral" if (payload.get("container") or {}).get("is_ephemeral") else "message"


def submission_from(payload: Payload) -> Submission:
    """A `view_submission` payload as Slack sends it."""
    view = payload["view"]
    state = (view.get("state") or {}).get("values") or {}
    return Submission(
        person=_person(payload),
        channel_id=None,
        response_url=None,
        trigger_id=payload.get("trigger_id"),
        key=f"view:{view['id']}",
        payload=payload,
        callback_id=str(view.get("callback_id") or ""),
        view_id=str(view["id"]),
        origin=Origin.from_metadata(view.get("private_metadata")),
        # Each of our inputs is the only one in its block.
        values={block: next(iter(elements.values()), {}) for block, elements in state.items()},
    )


@dataclass(frozen=True, slots=True)
class Shortcut(Request):
    """A global shortcut, or a message shortcut."""

    callback_id: str = ""
    message: Payload | None = None  # of a message shortcut


def shortcut_from(payload: Payload) -> Shortcut:
    """A `shortcut` or `message_action` payload as Slack sends it."""
    return Shortcut(
        person=_person(payload),
        channel_id=(payload.get("channel") or {}).get("id"),
        response_url=payload.get("response_url"),
        trigger_id=payload.get("trigger_id"),
        key=_key(payload),
        payload=payload,
        callback_id=str(payload.get("callback_id") or ""),
        message=payload.get("message"),
    )


@dataclass(frozen=True, slots=True)
class OptionsRequest(Request):
    """A block suggestion: a menu asks the bot for its options."""

    action_id: str = ""
    typed: str = ""


def options_request_from(payload: Payload) -> OptionsRequest:
    """A `block_suggestion` payload as Slack sends it."""
    return OptionsRequest(
        person=_person(payload),
        channel_id=(payload.get("channel") or {}).get("id"),
        response_url=None,
        trigger_id=None,
        key=None,
        payload=payload,
        action_id=str(payload.get("action_id") or ""),
        typed=str(payload.get("value") or ""),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """An event of Slack's Events API."""

    workspace_id: str
    id: str  # "Ev…"; the same when Slack delivers it again
    kind: str  # "message", "app_mention", "reaction_added", …
    event: Payload = field(repr=False)
    enterprise_id: str | None = None  # the Enterprise organization of the workspace
    of_enterprise: bool = False  # whether the app is installed in that as a whole

    @property
    def installation_id(self) -> str | None:
        """The installation that received the event: "T…", or "E…" where it is of an Enterprise organization."""
        return self.enterprise_id if self.of_enterprise else self.workspace_id or None

    def person(self) -> Person | None:
        """The user who caused the event; None where there is none."""
        user = self.event.get("user")
        if isinstance(user, Mapping):
            user = user.get("id")
        if not user:
            return None
        home = find_home_team(self.event.get("user_team"), self.event.get("source_team"))
        return Person(self.workspace_id, str(user), home)


def event_from(payload: Payload) -> Event:
    """An `event_callback` payload as Slack sends it."""
    event = payload["event"]
    enterprise_id = extract_enterprise_id(dict(payload))
    workspace_id = find_workspace(payload)
    return Event(
        workspace_id,
        str(payload.get("event_id")),
        str(event.get("type")),
        event,
        enterprise_id=str(enterprise_id) if enterprise_id else None,
        of_enterprise=bool(extract_is_enterprise_install(dict(payload))) or not workspace_id,
    )


class Origin(dict[str, Any]):
    """The private metadata of a form: what the form is about, and where to show the result of its submission."""

    def to_metadata(self) -> str:
        """The JSON text for the form, in as few characters as possible: Slack limits them."""
        return json.dumps(self, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_metadata(cls, metadata: object) -> Self:
        """The metadata of a submitted form; empty where it is not a JSON object."""
        try:
            found = json.loads(str(metadata or "{}"))
        except (ValueError, RecursionError):
            return cls()
        return cls(found) if isinstance(found, dict) else cls()
