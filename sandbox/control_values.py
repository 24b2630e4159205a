"""The JSON that the control routes accept and return: request bodies, and the messages and forms a person sees."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.driver.form import Form
from sandbox.driver.surface import Home, SeenMessage
from sandbox.records import Json

# The most that one request moves the clock: thirty years.
MOST_SECONDS = 1e9


class Body(BaseModel):
    """The JSON of a request; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")


class MessageAt(Body):
    """A message, by its channel and time stamp."""

    channel: str
    ts: str


class Command(Body):
    command: str
    text: str = ""
    channel: str | None = None
    resolve: bool = True


class Use(Body):
    """Using a control: of a message, or of the form or Home that the person has open."""

    on: MessageAt | Literal["form", "home"]
    label: str
    row: int | None = None
    containing: str | None = None
    choice: str = ""
    typed: str = ""


class Say(Body):
    channel: str | None = None  # None: direct messages with the app
    text: str
    thread: str | None = None  # the ts of the thread's root
    broadcast: bool = False
    mention_app: bool = False


class Edit(MessageAt):
    text: str


class React(MessageAt):
    name: str


class Shortcut(Body):
    callback_id: str
    message: MessageAt | None = None


class Fill(Body):
    """One field of the form: a text, the options of a choice, or the ids of people and channels."""

    label: str
    text: str | None = None
    choices: list[str] | None = None
    checked: list[str] | None = None
    moment: str | None = None


class Close(Body):
    everything: bool = False


class NewPerson(Body):
    id: str
    name: str
    email: str | None = None
    handle: str | None = None
    tz: str = "UTC"
    email_confirmed: bool = True
    restricted: bool = False
    ultra_restricted: bool = False
    is_bot: bool = False
    deleted: bool = False
    home_team: str | None = None
    announced: bool = False


class NewChannel(Body):
    id: str
    name: str
    private: bool = False
    shared_with: str | None = None
    hosted_by: str | None = None
    org_shared: bool = False
    bot_in: bool = True
    members: list[str] | None = None
    announced: bool = False


class NewUsergroup(Body):
    id: str
    handle: str
    name: str
    users: list[str] = []
    announced: bool = False


class Advance(Body):
    seconds: Annotated[float, Field(ge=0, le=MOST_SECONDS)]


class Trouble(Body):
    kind: Literal["rate_limit", "fail", "refuse", "slow", "cut"]
    methods: str
    times: Annotated[int, Field(ge=1)] | None = 1
    retry_after: int = 1
    status: int = 500
    error: str = "internal_error"
    seconds: Annotated[float, Field(ge=0, le=600)] = 1.0
    performed: bool = True


class Sockets(Body):
    do: Literal["warn", "refresh", "drop", "hang_up"]


class UseHttp(Body):
    url: str
    interactivity: str | None = None
    commands: str | None = None
    options: str | None = None


def shown_message(message: SeenMessage) -> Json:
    """A message: its text as a person reads it, and its raw data."""
    return {
        "channel": message.channel_id,
        "ts": message.ts,
        "author": message.author_id,
        "text": message.text,
        "buttons": message.buttons,
        "entries": message.entries,
        "labels": message.labels,
        "ephemeral": message.ephemeral,
        "deleted": message.deleted,
        "reactions": message.reactions,
        "replies": len(message.thread),
        "raw": message.raw,
    }


def shown_form(form: Form | None) -> Json | None:
    """A form: its text as a person reads it, and its raw data."""
    if form is None:
        return None
    return {
        "id": form.view.id,
        "title": form.title,
        "text": form.text,
        "labels": form.labels,
        "buttons": form.buttons,
        "values": form.view.values,
        "errors": form.errors,
        "private_metadata": form.private_metadata,
        "blocks": form.blocks,
    }


def shown_home(home: Home | None) -> Json | None:
    """A person's Home: its text as they read it, and its raw data."""
    if home is None:
        return None
    return {"text": home.text, "buttons": home.buttons, "labels": home.labels, "blocks": home.blocks}
