"""Passes each request of Slack on to the listeners of the cell that has its workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.request.internals import extract_enterprise_id

from bot.cells.directory import CellAway, Directory
from bot.messages import answers, forms
from bot.messages.blocks import Message
from bot.slack.clients import Clients
from bot.slack.events import is_event
from bot.slack.listeners import Headers, Listeners, get_kind
from bot.slack.requests import Command, Event, OptionsRequest, Payload, Press, Shortcut, Submission, find_workspace
from bot.slack.responses import Answer, FormErrors, OpenForm, Response, RetryLater, UpdateForm

# Requests whose response has no answer in it: that is sent over their response URL, or with the workspace's token.
_ANSWERED_APART = frozenset({"block_actions", "shortcut", "message_action"})


class AwayRouter:
    """Answers that the database is away. Implements `bot.slack.listeners.RequestRouter`.

    Commands, menus and submitted forms are answered in the response itself, what is done in a message over the response
    URL. The rest takes the workspace's token: a form is opened, or a direct message sent.
    """

    def __init__(self, command: str) -> None:
        self._command = command

    def command(self, request: Command) -> Response:
        """A slash command: what was typed is given back."""
        return Answer(self._render(request.text or None))

    def press(self, request: Press) -> Response:
        """A button."""
        message = self._render()
        return OpenForm(forms.render_error(message["text"])) if request.surface == "modal" else Answer(message)

    def submission(self, request: Submission) -> Response:
        """A form, which stays as it is."""
        text = self._render()["text"]
        inputs = [block for block in request.payload["view"]["blocks"] if block["type"] == "input"]
        return FormErrors({inputs[0]["block_id"]: text}) if inputs else UpdateForm(forms.render_error(text))

    def shortcut(self, request: Shortcut) -> Response:
        """A shortcut, of a message or a global one."""
        message = self._render()
        return Answer(message) if request.response_url else OpenForm(forms.render_error(message["text"]))

    def suggest(self, request: OptionsRequest) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002 - of the interface
        """A menu: there is nothing to choose."""
        return ()

    def event(self, event: Event) -> Response:  # noqa: ARG002 - of the interface
        """An event: Slack sends it again."""
        return RetryLater()

    def _render(self, typed: str | None = None) -> Message:
        return answers.render_database_away(typed, self._command)


class CellListeners:
    """The entry of several cells."""

    def __init__(
        self,
        directory: Directory,
        find_listeners: Callable[[str], Listeners | None],
        away: Listeners,
        away_clients: Clients,
    ) -> None:
        """`find_listeners` gives those of a cell, None while its database was never reached.

        `away` answers with an `AwayRouter`, and `away_clients` has what it sends messages with: the token of
        SLACK_BOT_TOKEN. That of an installation by OAuth is in the cell that is away.
        """
        self._directory = directory
        self._away_clients = away_clients
        self._find_listeners = find_listeners
        self._away = away

    def dispatch(self, body: Payload, headers: Headers | None = None) -> BoltResponse:
        """Handles a request in its cell."""
        listeners = self._find(body)
        if listeners is self._away and not self._can_answer(body):
            return BoltResponse(status=503)  # Slack sends an event again, and says of the rest that it failed
        return listeners.dispatch(body, headers)

    def too_late(self, body: Payload, *, begun: bool) -> Mapping[str, Any] | None:
        """The payload that acknowledges a late request: the same in all cells."""
        return self._away.too_late(body, begun=begun)

    def answer_late(self, body: Payload, message: Mapping[str, Any]) -> None:
        """Sends the answer to a request that has been acknowledged, over its response URL."""
        self._away.answer_late(body, message)

    def _can_answer(self, body: Payload) -> bool:
        """Whether the person can be answered without what is in the cell. Nobody waits for the answer to an event."""
        if is_event(body):
            return False
        if get_kind(body) not in _ANSWERED_APART or body.get("response_url"):
            return True
        return self._away_clients.find(find_workspace(body)) is not None

    def _find(self, body: Payload) -> Listeners:
        workspace_id = find_workspace(body) or str(extract_enterprise_id(dict(body)) or "")
        try:
            cell = self._directory.find_cell_of_workspace(workspace_id)
        except CellAway:
            return self._away
        return self._find_listeners(cell) or self._away
