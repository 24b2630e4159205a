"""What handlers return: what Slack should show, as values. The listeners make the calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]  # text and blocks
View = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that only the caller sees, or with `in_channel` everybody in the conversation."""

    message: Message
    in_channel: bool = False
    replace: bool = False  # in place of the message whose button was pressed
    to: str | None = None  # a response URL, where the request has none (a form)
    thread_ts: str | None = None  # in a thread


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """An ephemeral message in a channel. In a direct message it is an ordinary message."""

    message: Message
    channel_id: str
    user_id: str
    thread_ts: str | None = None


@dataclass(frozen=True, slots=True)
class PublishHome:
    """The new content of a person's Home tab."""

    view: View
    user_id: str


@dataclass(frozen=True, slots=True)
class OpenForm:
    """Opens a form, on top of the form that is open."""

    view: View


@dataclass(frozen=True, slots=True)
class UpdateForm:
    """New content for the form that was submitted, or whose button was pressed."""

    view: View
    view_id: str | None = None  # another form instead, for example the one below
    home: PublishHome | None = None  # and what has changed on Home, below the form


@dataclass(frozen=True, slots=True)
class FormErrors:
    """Errors of a submitted form, by block_id. The form stays open and shows them below its fields."""

    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The event cannot be handled now. It is not acknowledged, and Slack sends it again."""


@dataclass(frozen=True, slots=True)
class Done:
    """The request is done. A submitted form closes, and `follow_up` is shown where the form was opened."""

    follow_up: Answer | UpdateForm | Ephemeral | PublishHome | None = None


Response = Answer | Ephemeral | PublishHome | OpenForm | UpdateForm | FormErrors | RetryLater | Done
