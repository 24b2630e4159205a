"""What handlers give back: what is to happen in Slack, as values. The listeners carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]  # text and blocks
View = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A message for the caller alone, or for the channel."""

    message: Message
    in_channel: bool = False
    replace: bool = False  # takes the place of the message on which a button was pressed
    to: str | None = None  # the response URL, where the request brings none of its own (a form)


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A message for one person in a conversation: only they see it there, and in a direct message it is theirs."""

    message: Message
    channel_id: str
    user_id: str
    thread_ts: str | None = None


@dataclass(frozen=True, slots=True)
class PublishHome:
    """A person's Home, drawn anew."""

    view: View
    user_id: str


@dataclass(frozen=True, slots=True)
class OpenForm:
    """A form, on top of whatever form is open."""

    view: View


@dataclass(frozen=True, slots=True)
class UpdateForm:
    """Another content for the form that was submitted, or on which a button was pressed."""

    view: View
    view_id: str | None = None  # another form instead: the one below


@dataclass(frozen=True, slots=True)
class FormErrors:
    """The form stays open; a sentence below each field at fault, by block_id."""

    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RetryLater:
    """An event that cannot be taken at the moment and is not acknowledged: Slack sends it again."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to say. A submitted form closes; `follow_up` is shown where the form was opened."""

    follow_up: Answer | UpdateForm | Ephemeral | PublishHome | None = None


Response = Answer | Ephemeral | PublishHome | OpenForm | UpdateForm | FormErrors | RetryLater | Done
