"""Calls Slack's Web API, and interprets the outcome for a message that must be sent exactly once.

An error that is in none of the sets below may be temporary: an administrator may lift a restriction or grant a scope.
A call that fails with such an error is retried for a while. Slack documents the errors at
https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack.backoff import retry_after_s
from bot.slack.clients import Clients, Installation
from bot.slack.web_api import NOT_JSON

# The token is not valid: nothing can be sent to the workspace until somebody replaces it.
TOKEN_ERRORS = frozenset(
    {
        "token_revoked",
        "account_inactive",
        "invalid_auth",
        "not_authed",
        "token_expired",
        "not_allowed_token_type",
        "org_login_required",
        "team_added_to_org",
        "access_denied",
        "two_factor_setup_required",
        "team_access_not_granted",
    }
)
# Nothing can be sent to the conversation: the person does not exist, the channel is archived, the bot is not in it.
UNREACHABLE_ERRORS = frozenset(
    {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "is_inactive",  # the error of chat.update for an archived channel
        "user_not_found",
        "users_not_found",
        "user_disabled",
        "user_not_visible",
        "cannot_dm_bot",
        "channel_type_not_supported",
        "method_not_supported_for_channel_type",
    }
)
# Slack itself failed: the call may or may not have been carried out.
UNSURE_ERRORS = frozenset({"internal_error", "fatal_error", "request_timeout", "service_unavailable"})
# Slack does not accept the content of the message, so the message can never be sent as it is.
CONTENT_ERRORS = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_attachments",
        "invalid_metadata_format",
        "metadata_too_large",
        "msg_too_long",
        "msg_blocks_too_long",
        "too_many_attachments",
        "attachment_payload_limit_exceeded",
        "no_text",
        "too_many_contact_cards",
        "invalid_metadata_schema",
    }
)
# The message, or the parent message of its thread, no longer exists.
GONE_ERRORS = frozenset(
    {"message_not_found", "thread_not_found", "cannot_reply_to_message", "cant_update_message", "edit_window_closed"}
)
# Rate limits that do not come with HTTP status 429.
_RATE_ERRORS = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded", "accesslimited"})
_DEFAULT_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Taken:
    """Slack carried out the call. `answer` is its response."""

    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """Slack did not carry out the call. `error` is its error code."""

    error: str


@dataclass(frozen=True, slots=True)
class Limited:
    """A rate limit applies. The call was not carried out, and may be repeated after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Unreached:
    """The call was not carried out, because Slack could not be reached."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It is not known whether Slack carried the call out."""

    reason: str
    answered: bool = False  # Slack itself has responded, so it is no longer at work on the call


Result = Taken | Refused | Limited | Unreached | Unknown


@dataclass(frozen=True, slots=True)
class WorkspaceClient:
    """An installation, and the Web API client that uses its token."""

    installation: Installation
    web: WebClient


class WorkspaceClients(Mapping[str, WorkspaceClient]):
    """The clients of delivery, for the workspaces in which the bot is installed at the moment.

    Where it was just removed, a message under way still gets the client that it began with: Slack refuses its token,
    and the refusal is recorded.
    """

    def __init__(self, clients: Clients, connect: Callable[[Installation], WebClient]) -> None:
        self._clients = clients
        self._connect = connect
        self._made: dict[str, WorkspaceClient] = {}

    def __getitem__(self, workspace_id: str) -> WorkspaceClient:
        installation, made = self._clients.find(workspace_id), self._made.get(workspace_id)
        if installation is None and made is None:
            raise KeyError(workspace_id)
        if made is None or (installation is not None and installation is not made.installation):
            assert installation is not None
            made = self._made[workspace_id] = WorkspaceClient(installation, self._connect(installation))
        return made

    def __contains__(self, workspace_id: object) -> bool:
        return self._clients.find(str(workspace_id)) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([one.workspace_id for one in self._clients.all()])

    def __len__(self) -> int:
        return len(self._clients.all())


def write(client: WorkspaceClient, method: str, **arguments: Any) -> Result:
    """Calls a method that takes JSON (`chat.…`). A failed call is returned as a Result, not raised."""
    return _call(client, method, json=arguments)


def read(client: WorkspaceClient, method: str, **arguments: Any) -> Result:
    """Calls a method that takes a form (`conversations.…`, `users.…`). A failed call is returned, not raised."""
    return _call(client, method, params=arguments)


def _call(client: WorkspaceClient, method: str, **how: Any) -> Result:
    asked = time.monotonic()
    try:
        answer = client.web.api_call(method, **how)
        client.installation.clock.hear(answer.headers, asked)
        return Taken(answer.data)  # type: ignore[arg-type]  # a mapping: these methods respond with JSON
    except SlackApiError as failure:
        client.installation.clock.hear(failure.response.headers, asked)
        return _failed(failure)
    except (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError) as failure:
        return Unreached(str(failure))
    except OSError as failure:
        return Unknown(str(failure) or type(failure).__name__)


def _failed(failure: SlackApiError) -> Result:
    response = failure.response
    error = str(response.get("error") or "")
    if response.status_code == 429 or error in _RATE_ERRORS:
        told_s = retry_after_s(response.headers)
        return Limited(_DEFAULT_RETRY_AFTER_S if told_s is None else told_s)
    if response.status_code >= 500 or error in UNSURE_ERRORS or error.startswith(NOT_JSON):
        # Other statuses may come from a proxy while Slack still works on the call.
        answered = response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR or error in UNSURE_ERRORS
        return Unknown(f"HTTP {response.status_code} {error[:100]}".strip(), answered)
    return Refused(error or f"HTTP {response.status_code}")
