"""What people do in Slack, as plain values. Everything in them is a claim of the client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """Who does it, as Slack says."""

    workspace_id: str  # the workspace in which the bot was asked
    user_id: str
    home_team: str | None  # the workspace that the person belongs to, where the payload tells


@dataclass(frozen=True, slots=True)
class Ask:
    """The part that every request has."""

    person: Person
    channel_id: str | None  # where it was done, if in a conversation
    response_url: str | None
    trigger_id: str | None  # opens a form, once, within three seconds
    payload: Payload = field(repr=False)


@dataclass(frozen=True, slots=True)
class Command(Ask):
    """A slash command, or the same words said to the bot."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Press(Ask):
    """A button pressed, an option chosen."""

    action_id: str = ""
    value: str = ""
    ephemeral: bool = False  # on a message that only this person sees
    message_ts: str | None = None
    view: Payload | None = None  # the form or Home on which it was pressed


@dataclass(frozen=True, slots=True)
class Submission(Ask):
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

    def rich_text(self, block_id: str) -> Mapping[str, Any] | None:
        """What was typed into a rich text field; None when nothing was."""
        found = self.values.get(block_id, {}).get("rich_text_value")
        return found if isinstance(found, Mapping) else None


def command_from(payload: Payload) -> Command:
    """A slash command as Slack sends it."""
    person = Person(str(payload["team_id"]), str(payload["user_id"]), None)
    return Command(
        person=person,
        channel_id=payload.get("channel_id"),
        response_url=payload.get("response_url"),
        trigger_id=payload.get("trigger_id"),
        payload=payload,
        text=str(payload.get("text") or ""),
    )


def _person(payload: Payload) -> Person:
    user = payload["user"]
    # In a channel shared with another company `team` is ours, and the person's own names theirs.
    team = (payload.get("team") or {}).get("id") or user.get("team_id")
    return Person(str(team), str(user["id"]), user.get("team_id"))


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
        payload=payload,
        action_id=str(action["action_id"]),
        value=str(action.get("value") or option.get("value") or ""),
        ephemeral=bool(container.get("is_ephemeral")),
        message_ts=container.get("message_ts"),
        view=payload.get("view"),
    )


def submission_from(payload: Payload) -> Submission:
    """A `view_submission` payload as Slack sends it."""
    view = payload["view"]
    state = (view.get("state") or {}).get("values") or {}
    return Submission(
        person=_person(payload),
        channel_id=None,
        response_url=None,
        trigger_id=payload.get("trigger_id"),
        payload=payload,
        callback_id=str(view.get("callback_id") or ""),
        view_id=str(view["id"]),
        origin=Origin.read(view.get("private_metadata")),
        # Each of our inputs is the only one in its block.
        values={block: next(iter(elements.values()), {}) for block, elements in state.items()},
    )


class Origin(dict[str, Any]):
    """What a form keeps in its private metadata, to know on submission what it is about and where to answer."""

    def written(self) -> str:
        """As the form carries it."""
        return json.dumps(self, separators=(",", ":"))

    @classmethod
    def read(cls, metadata: object) -> Self:
        """From a form; what is no object of ours is empty, and then refers to nothing."""
        try:
            found = json.loads(str(metadata or "{}"))
        except ValueError:
            return cls()
        return cls(found) if isinstance(found, dict) else cls()
