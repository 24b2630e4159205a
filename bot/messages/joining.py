"""Asking to be let in: the button for somebody who is no member, and the messages about the request."""

from __future__ import annotations

from datetime import datetime

from bot.incidents.markup import escape
from bot.messages.blocks import (
    Element,
    Message,
    actions,
    button,
    confirm,
    format_date,
    message,
    section,
    text_message,
    truncate,
)
from bot.messages.incident_parts import NAME_LENGTH
from storage.member_rows import JoinRequestRow


def build_ask_button() -> Element:
    """`Ask to be let in`."""
    return button("Ask to be let in", "join_ask", "1")


def render_asked() -> Message:
    """The answer to who asked."""
    return text_message(
        "The managers of your organization have your request. You get a direct message with the answer."
    )


def render_asked_before(request: JoinRequestRow, again: datetime | None) -> str:
    """What became of a request so far, in mrkdwn. `again` is when they may ask again, if it was declined."""
    if request.date_decided is None or again is None:
        return f"You asked to be let in {format_date(request.date_added)}. The managers have not decided yet."
    declined = format_date(request.date_decided)
    return f"Your request to be let in was declined {declined}. You can ask again {format_date(again)}."


def render_request(request: JoinRequestRow) -> Message:
    """The message to a manager: with `Add` and `Decline` while it is open, then with who decided."""
    who = f"<@{escape(request.user_id)}>"
    if request.workspace is not None:  # a manager in another one reads a mention of somebody unknown
        who += f" ({_render_name(request.name)}, in {_render_name(request.workspace)})"
    if request.date_decided:
        decided_by = _render_name(request.decided_by or "A manager")
        done = f"added {who}" if request.admitted else f"declined the request of {who} to be let in"
        text = f":white_check_mark: {decided_by} {done} {format_date(request.date_decided)}."
        return message(text, [section(text)])
    text = f":wave: {who} asks to be let in: they are not a member of your organization.{_render_former(request)}"
    asked = confirm("Decline this request?", f"{request.name} is notified.", "Decline")
    value = str(request.id)
    return message(
        text,
        [
            section(text),
            actions(
                [
                    button("Add", "join_add", value, style="primary"),
                    button("Decline", "join_decline", value, confirm=asked),
                ]
            ),
        ],
    )


def _render_former(request: JoinRequestRow) -> str:
    if request.date_removed is None:
        return ""
    by = {True: " in Slack", False: " by the organization file", None: ""}[request.removed_in_slack]
    return f" They were a member, and were removed{by} {format_date(request.date_removed)}."


def render_answer(request: JoinRequestRow, organization: str, manager: str, command: str) -> Message:
    """The direct message to who asked."""
    if request.admitted:
        return render_added(organization, manager, command)
    by, name = _render_name(manager), _render_name(organization)
    return text_message(f"{by} declined your request to be let in to {name}.")


def render_added(organization: str, manager: str, command: str) -> Message:
    """The direct message to somebody who is a member now."""
    by, name = _render_name(manager), _render_name(organization)
    return text_message(f"{by} added you to {name}. `{escape(command)} help` shows what you can do.")


def render_decided(request: JoinRequestRow) -> str:
    """Why somebody cannot decide a request (plain text)."""
    by = request.decided_by or "A manager"
    return (
        f"{by} added {request.name} already." if request.admitted else f"{by} declined the request of {request.name}."
    )


def _render_name(name: str) -> str:
    return truncate(escape(name), NAME_LENGTH)
