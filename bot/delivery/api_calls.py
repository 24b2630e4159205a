"""Calls to Slack's Web API, and what their outcome means for something that is to be sent once.

An error that stands in none of the lists here may pass (an administrator allows something again, a scope is granted):
what it refuses is tried again for a while. The errors: https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack.backoff import retry_after_s
from bot.slack.clients import Installation
from bot.slack.web_api import NOT_JSON

# A token that is no good: nothing can be sent in the whole workspace until somebody mends it.
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
# The conversation takes nothing: a person is not there, a channel is closed or the bot not in it.
UNREACHABLE_ERRORS = frozenset(
    {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "is_inactive",  # what chat.update says of an archived channel
        "user_not_found",
        "users_not_found",
        "user_disabled",
        "user_not_visible",
        "cannot_dm_bot",
        "channel_type_not_supported",
        "method_not_supported_for_channel_type",
    }
)
# Slack's own words for "something went wrong", after which it may or may not have been done.
UNSURE_ERRORS = frozenset({"internal_error", "fatal_error", "request_timeout", "service_unavailable"})
# The message as it is can never be sent.
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
# The message, or the one in whose thread it should stand, is not there any more.
GONE_ERRORS = frozenset(
    {"message_not_found", "thread_not_found", "cannot_reply_to_message", "cant_update_message", "edit_window_closed"}
)
# A limit of rate, besides the HTTP status.
_RATE_ERRORS = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded", "accesslimited"})
_DEFAULT_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Taken:
    """Done, with what Slack answered."""

    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """Not done, for a reason that Slack names."""

    error: str


@dataclass(frozen=True, slots=True)
class Limited:
    """Not done; not to be tried again for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Unreached:
    """Not done: Slack was not even reached."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether it was done."""

    reason: str
    answered: bool = False  # Slack itself has answered, so that it is decided by now


Result = Taken | Refused | Limited | Unreached | Unknown


@dataclass(frozen=True, slots=True)
class WorkspaceClient:
    """The way to one workspace."""

    installation: Installation
    web: WebClient


def write(client: WorkspaceClient, method: str, **arguments: Any) -> Result:
    """Calls a method that takes JSON (`chat.…`)."""
    return _call(client, method, json=arguments)


def read(client: WorkspaceClient, method: str, **arguments: Any) -> Result:
    """Calls a method that takes a form (`conversations.…`, `users.…`)."""
    return _call(client, method, params=arguments)


def _call(client: WorkspaceClient, method: str, **how: Any) -> Result:
    asked = time.monotonic()
    try:
        answer = client.web.api_call(method, **how)
        client.installation.clock.hear(answer.headers, asked)
        return Taken(answer.data)  # type: ignore[arg-type]  # a mapping: these answer JSON
    except SlackApiError as failure:
        client.installation.clock.hear(failure.response.headers, asked)
        return _failed(failure)
    except URLError as failure:
        reason = failure.reason
        if isinstance(reason, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError):
            return Unreached(str(reason))
        return Unknown(str(reason))
    except OSError as failure:
        return Unknown(str(failure) or type(failure).__name__)


def _failed(failure: SlackApiError) -> Result:
    response = failure.response
    error = str(response.get("error") or "")
    if response.status_code == 429 or error in _RATE_ERRORS:
        told_s = retry_after_s(response.headers)
        return Limited(_DEFAULT_RETRY_AFTER_S if told_s is None else told_s)
    if response.status_code >= 500 or error in UNSURE_ERRORS or error.startswith(NOT_JSON):
        # Of the other statuses a proxy on the way may be the author, while Slack is still at work.
        answered = response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR or error in UNSURE_ERRORS
        return Unknown(f"HTTP {response.status_code} {error[:100]}".strip(), answered)
    return Refused(error or f"HTTP {response.status_code}")
