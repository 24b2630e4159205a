"""Where things show: a press or a form changes something, and what it was pressed on is drawn anew.

A message that only the caller sees, a form and Home are theirs to redraw; a message that others see too is not
(a card is redrawn by delivery), and the caller is told below it instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from bot.handlers import home
from bot.handlers.call import Call
from bot.messages import forms
from bot.messages.blocks import Message
from bot.slack.outcomes import Answer, DrawHome, OpenForm, Outcome, UpdateForm
from bot.slack.requests import Ask, Origin, Press

Shown = Answer | UpdateForm | DrawHome


def look(ask: Press, message: Message, *, replace: bool) -> Outcome:
    """Shows what somebody wanted to look at; with `replace`, in place of the message that only they see."""
    if ask.surface == "modal":
        return UpdateForm(forms.window(message))
    if ask.surface == "home":
        return OpenForm(forms.window(message))
    return Answer(message, replace=replace and ask.surface == "ephemeral")


def changed(connection: Connection, call: Call, ask: Press, message: Message, otherwise: Message) -> Shown:
    """Shows what a button changed: `message` where it can be redrawn, else `otherwise` for the caller alone."""
    if ask.surface == "modal":
        return UpdateForm(forms.window(message))
    if ask.surface == "home":
        state = str((ask.view or {}).get("private_metadata") or "")
        return DrawHome(home.drawn(connection, call, state), ask.person.user_id)
    if ask.surface == "ephemeral":
        return Answer(message, replace=True)
    return Answer(otherwise)


def origin(press: Press, identifier: int | None = None, **more: Any) -> str:
    """What a form remembers of the button that opened it: the incident, and where to show what was changed."""
    kept = Origin(n=identifier, s=press.surface, **more)
    if press.surface == "modal":
        kept["v"] = (press.view or {}).get("id")
    elif press.surface == "home":
        kept["h"] = (press.view or {}).get("private_metadata")
    else:
        kept["r"] = press.response_url
    return kept.written()


def origin_of(ask: Ask) -> str:
    """The same for a form that a command or a shortcut opened: its result is a message of its own."""
    return Origin(n=None, s="message", r=ask.response_url).written()


def back(
    connection: Connection,
    call: Call,
    ask: Ask,
    kept: Mapping[str, Any],
    message: Message,
    otherwise: Message,
) -> Shown:
    """Shows what a form changed, where the form was opened. `kept` is what it remembers."""
    match kept.get("s"):
        case "modal" if kept.get("v"):
            return UpdateForm(forms.window(message), str(kept["v"]))
        case "home":
            return DrawHome(home.drawn(connection, call, str(kept.get("h") or "")), ask.person.user_id)
        case "ephemeral":
            return Answer(message, replace=True, to=_url(kept))
        case _:
            return Answer(otherwise, to=_url(kept))


def _url(kept: Mapping[str, Any]) -> str | None:
    return str(kept["r"]) if kept.get("r") else None
