"""Where the result of a button or form is shown.

An ephemeral message, a form and Home are updated in place. A message that others see too is not (delivery updates
cards): the caller gets an ephemeral message below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from bot.handlers import home
from bot.handlers.context import Context
from bot.messages import forms
from bot.messages.blocks import Message
from bot.slack.requests import Origin, Press, Request
from bot.slack.responses import Answer, OpenForm, PublishHome, Response, UpdateForm

Shown = Answer | UpdateForm | PublishHome


def show(request: Press, message: Message, *, replace: bool) -> Response:
    """Shows a message; with `replace`, in place of the ephemeral message whose button was pressed."""
    if request.surface == "modal":
        return UpdateForm(forms.render_window(message))
    if request.surface == "home":
        return OpenForm(forms.render_window(message))
    return Answer(message, replace=replace and request.surface == "ephemeral")


def redraw(connection: Connection, context: Context, request: Press, message: Message, otherwise: Message) -> Shown:
    """Shows what a button changed: `message` where it can be updated in place, else `otherwise` to the caller.

    `connection` is the transaction of the change, from which Home is rendered.
    """
    if request.surface == "modal":
        return UpdateForm(forms.render_window(message))
    if request.surface == "home":
        state = str((request.view or {}).get("private_metadata") or "")
        return PublishHome(home.render(connection, context, state), request.person.user_id)
    if request.surface == "ephemeral":
        return Answer(message, replace=True)
    return Answer(otherwise)


def origin_of_press(press: Press, identifier: int | None = None, **more: Any) -> str:
    """The private metadata of a form that a button opens: the incident, and where to show the result.

    `more` is added to it as it is.
    """
    kept = Origin(n=identifier, s=press.surface, **more)
    if press.surface == "modal":
        kept["v"] = (press.view or {}).get("id")
    elif press.surface == "home":
        kept["h"] = (press.view or {}).get("private_metadata")
    else:
        kept["r"] = press.response_url
    return kept.to_metadata()


def origin_of_request(request: Request) -> str:
    """The private metadata of a form that a command or shortcut opens: its result is a new ephemeral message."""
    return Origin(n=None, s="message", r=request.response_url).to_metadata()


def redraw_origin(
    connection: Connection,
    context: Context,
    request: Request,
    kept: Mapping[str, Any],
    message: Message,
    otherwise: Message,
) -> Shown:
    """Shows what a form changed, where the form was opened. `kept` is the form's private metadata."""
    match kept.get("s"):
        case "modal" if kept.get("v"):
            return UpdateForm(forms.render_window(message), str(kept["v"]))
        case "home":
            return PublishHome(home.render(connection, context, str(kept.get("h") or "")), request.person.user_id)
        case "ephemeral":
            return Answer(message, replace=True, to=_url(kept))
        case _:
            return Answer(otherwise, to=_url(kept))


def _url(kept: Mapping[str, Any]) -> str | None:
    return str(kept["r"]) if kept.get("r") else None
