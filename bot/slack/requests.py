"""What people do in Slack, as plain values. Everything in them is a claim of the client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from slack_bolt.request.internals import extract_team_id

Payload = Mapping[str, Any]
# Where a button stands: a message that others see too, one that only this person sees, a form, Home.
Surface = Literal["message", "ephemeral", "modal", "home"]


@dataclass(frozen=True, slots=True)
class Person:
    """Who does it, as Slack says."""

    workspace_id: str  # the workspace in which the bot was asked
    user_id: str
    home_team: str | None  # the workspace that the person belongs to, where the payload tells


@dataclass(frozen=True, slots=True)
class Request:
    """The part that every request has."""

    person: Person
    channel_id: str | None  # where it was done, if in a conversation
    response_url: str | None
    trigger_id: str | None  # opens a form, once, within three seconds
    key: str | None  # names this very request: what arrives again under the same key was done before
    payload: Payload = field(repr=False)


@dataclass(frozen=True, slots=True)
class Command(Request):
    """A slash command, or the same words said to the bot."""

    text: str = ""
    in_message: bool = False  # in a message, not as a slash command
    thread_ts: str | None = None  # the thread in which it was said


@dataclass(frozen=True, slots=True)
class Press(Request):
    """A button pressed, an option chosen."""

    action_id: str = ""
    block_id: str = ""  # of the block in which it stands
    value: str = ""
    surface: Surface = "message"
    message_ts: str | None = None
    view: Payload | None = None  # the form or Home on which it was pressed


@dataclass(frozen=True, slots=True)
class Submission(Request):
    """A form sent off."""

    callback_id: str = ""
    view_id: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)  # what the form was opened with
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # element state by block_id

    def text(self, block_id: str) -> str:
        """What was typed into a plain text field; empty when nothing was."""
        return str(self.values.get(block_id, {}).get("value") or "")

    def chosen(self, block_id: str) -> str | None:
        """The value of the option that was chosen."""
        option = self.values.get(block_id, {}).get("selected_option")
        return None if option is None else str(option["value"])

    def checked(self, block_id: str) -> list[str]:
        """The values of the boxes that were ticked."""
        options = self.values.get(block_id, {}).get("selected_options") or []
        return [str(option["value"]) for option in options]

    def rich_text(self, block_id: str) -> Mapping[str, Any] | None:
        """What was typed into a rich text field; None when nothing was."""
        found = self.values.get(block_id, {}).get("rich_text_value")
        return found if isinstance(found, Mapping) else None


def find_workspace(payload: Payload) -> str:
    """The workspace in which the bot was asked, found as Slack's own SDK finds it.

    In a channel that another company hosts an event names their workspace, and ours in its authorization; an action
    there names ours, and the person's own names theirs; a form that was opened there names theirs, and ours as where
    the app is installed. An app that is installed for a whole Enterprise organization is authorized for no workspace
    in particular, and then the one counts in which it happened.
    """
    return str(extract_team_id(dict(payload)) or payload.get("team_id") or "")


def find_home_team(*claims: object) -> str | None:
    """The workspace that a person belongs to: the first that a payload names. An Enterprise organization is none."""
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
    """A `block_actions` payload as Slack sends it; of several actions, the first."""
    action = payload["actions"][0]
    container = payload.get("container") or {}
    option = action.get("selected_option") or {}
    return Press(
        person=_person(payload),
        channel_id=(payload.get("channel") or {}).get("id") or container.get("channel_id"),
        response_url=payload.get("response_url"),
        trigger_id=payload.get("trigger_id"),
        key=_key(payload),
        payload=payload,
        action_id=str(action["action_id"]),
        block_id=str(action.get("block_id") or ""),
        value=str(action.get("value") or option.get("value") or ""),
        surface=_surface(payload),
        message_ts=container.get("message_ts"),
        view=payload.get("view"),
    )


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
    """A shortcut chosen: from the menu of everything, or from the menu of one message."""

    callback_id: str = ""
    message: Payload | None = None  # the message from whose menu it was chosen


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
    """Something typed into a menu whose options the bot offers."""

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
    """Something that happened in the workspace."""

    workspace_id: str
    id: str  # "Ev…"; the same when Slack delivers it again
    kind: str  # "message", "app_mention", "reaction_added", …
    event: Payload = field(repr=False)

    def person(self) -> Person | None:
        """Who did it, where it was somebody."""
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
    return Event(find_workspace(payload), str(payload.get("event_id")), str(event.get("type")), event)


class Origin(dict[str, Any]):
    """What a form keeps in its private metadata, to know on submission what it is about and where to answer."""

    def to_metadata(self) -> str:
        """As the form carries it, in as few characters as Slack counts."""
        return json.dumps(self, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_metadata(cls, metadata: object) -> Self:
        """From a form; what is no object of ours is empty, and then refers to nothing."""
        try:
            found = json.loads(str(metadata or "{}"))
        except (ValueError, RecursionError):
            return cls()
        return cls(found) if isinstance(found, dict) else cls()
