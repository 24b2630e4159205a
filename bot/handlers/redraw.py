"""Where the result of a button or form is shown.

What only the person who pressed sees is updated in place: an ephemeral message, a form, Home, and an answer of the bot
in a direct message. A card and the newest direct message about an incident are updated by delivery, and then need no
answer. What they do not show, or not soon, is confirmed by an ephemeral message beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection

from bot.delivery.pace import Pace
from bot.handlers import administration, home
from bot.handlers.context import Context
from bot.incidents import cards
from bot.messages import answers, forms
from bot.messages.administration import Page
from bot.messages.answers import Confirmation
from bot.messages.blocks import Message
from bot.slack.requests import Origin, Press, Request
from bot.slack.responses import Answer, Done, OpenForm, PublishHome, Response, UpdateForm
from storage.rows import IncidentHead

_PACE = Pace()
# Calls of chat.update may be reserved so far ahead without having to wait.
_UPDATES_BURST_S = _PACE.update_s * _PACE.update_burst

Shown = Answer | UpdateForm | PublishHome | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a button is that was pressed, or that opened the form which was submitted. The client sends all of it."""

    surface: str  # a Surface of bot.slack.requests
    view_id: str = ""  # of the form with the button
    home_state: str = ""  # the private metadata of Home, or of the form with the button
    url: str | None = None  # the response URL
    channel_id: str = ""
    message_ts: str = ""
    thread_ts: str | None = None

    @classmethod
    def of_press(cls, press: Press) -> Self:
        """The place of a button."""
        view = press.view or {}
        return cls(
            surface=press.surface,
            view_id=str(view.get("id") or ""),
            home_state=str(view.get("private_metadata") or ""),
            url=press.response_url,
            channel_id=press.channel_id or "",
            message_ts=press.message_ts or "",
            thread_ts=press.thread_ts,
        )

    @classmethod
    def of_origin(cls, origin: Mapping[str, Any]) -> Self:
        """The place that a form's private metadata names."""
        thread_ts = str(origin.get("p") or "")
        return cls(
            surface=str(origin.get("s") or "message"),
            # In "v" the version before kept it, where a form to edit a comment keeps the version of the comment.
            view_id=str(origin.get("w") or origin.get("v") or ""),
            home_state=str(origin.get("h") or ""),
            url=str(origin["r"]) if origin.get("r") else None,
            channel_id=str(origin.get("d") or ""),
            message_ts=str(origin.get("m") or ""),
            thread_ts=thread_ts if thread_ts != origin.get("t") else None,
        )

    @property
    def is_direct(self) -> bool:
        """Whether it is in the conversation of one person with the bot."""
        return self.channel_id.startswith("D")

    @property
    def is_lasting(self) -> bool:
        """Whether it is a message that stands there for good."""
        return self.surface == "message" and self.is_direct


def open_window(request: Press, message: Message) -> Response:
    """Shows a message in a form, which nobody can overlook. A form that is open already is updated."""
    if request.surface == "modal":
        return UpdateForm(forms.render_window(message))
    return OpenForm(forms.render_window(message))


def turn(request: Press, message: Message) -> Response:
    """Shows a message in place of the one whose button was pressed: its next page, or what it was opened from."""
    if request.surface in ("modal", "home"):
        return open_window(request, message)
    direct = request.surface == "message" and Place.of_press(request).is_direct
    return Answer(message, replace=direct or request.surface == "ephemeral", in_channel=direct)


def redraw(
    connection: Connection,
    context: Context,
    request: Request,
    place: Place,
    incident: IncidentHead,
    message: Message,
    confirmation: Confirmation,
) -> Shown:
    """Shows what a button or form changed about an incident: `message` in place, or `confirmation` beside a card.

    `connection` is the transaction of the change. Returns None if the card or direct message shows it by itself.
    """
    if place.surface != "message":
        return redraw_in_place(connection, context, request, place, message)
    posted = cards.find_pressed_post(
        connection,
        context.access,
        incident,
        place.channel_id,
        place.message_ts,
        context.now,
        burst_s=_UPDATES_BURST_S,
    )
    if posted is None and place.is_direct:
        return redraw_in_place(connection, context, request, place, message)
    late = False
    if posted is not None and posted.follows_incident and confirmation.on_card:
        if posted.shown_soon:
            return None
        late = True
    return _confirm(place, answers.render_confirmation(confirmation, late=late))


def redraw_in_place(
    connection: Connection, context: Context, request: Request, place: Place, message: Message
) -> Answer | UpdateForm | PublishHome:
    """Shows a message where a button or form was used; as a new message to the caller where others see it too."""
    match place.surface:
        case "modal" if place.view_id:
            page = Page.find(place.home_state)
            if page is not None:
                notice = message["text"].partition("\n")[0]  # the page shows the rest
                return administration.redraw(connection, context, request, page, notice, place.view_id)
            return UpdateForm(forms.render_window(message), place.view_id)
        case "home":
            return PublishHome(home.render(connection, context, place.home_state), request.person.user_id)
        case "ephemeral":
            return Answer(message, replace=True, to=place.url)
        case _ if place.is_direct:
            return Answer(message, replace=True, in_channel=True, to=place.url)
    return _confirm(place, message)


def is_in_window(press: Press) -> bool:
    """Whether the button is in a window of `administration`."""
    return press.surface == "modal" and Page.find(Place.of_press(press).home_state) is not None


def show_change(connection: Connection, context: Context, press: Press, message: Message) -> Response:
    """Shows what a button has changed: above the page of a window of `administration`, else in its place."""
    return redraw_in_place(connection, context, press, Place.of_press(press), message)


def respond(shown: Shown) -> Response:
    """The response to a press of which `shown` is the result."""
    return Done() if shown is None else shown


def _confirm(place: Place, message: Message) -> Answer:
    return Answer(message, to=place.url, thread_ts=place.thread_ts)


def origin_of_press(press: Press, identifier: int | None = None, **more: Any) -> str:
    """The private metadata of a form that a button opens: the incident, and where to show the result.

    `more` is added to it as it is.
    """
    origin = Origin(n=identifier, s=press.surface, **more)
    if press.surface == "modal":
        origin |= {"w": (press.view or {}).get("id"), **_describe_state(press)}
    elif press.surface == "home":
        origin |= _describe_state(press)
    else:
        origin |= {"r": press.response_url, "d": press.channel_id, "m": press.message_ts}
        if press.thread_ts:
            origin["p"] = press.thread_ts
    return origin.to_metadata()


def describe_window(press: Press) -> dict[str, Any]:
    """What a form's private metadata says of the window whose button has opened it; nothing if it was none."""
    if not is_in_window(press):
        return {}
    return {"s": "modal", "w": (press.view or {}).get("id"), **_describe_state(press)}


def _describe_state(press: Press) -> dict[str, str]:
    """The private metadata of Home or of a window, where it says what is shown there."""
    metadata = str((press.view or {}).get("private_metadata") or "")
    return {"h": metadata} if press.surface == "home" or Page.find(metadata) else {}


def origin_of_request(request: Request, identifier: int | None = None) -> str:
    """The private metadata of a form that a command or shortcut opens: its result is a new ephemeral message."""
    return Origin(n=identifier, s="message", r=request.response_url).to_metadata()
