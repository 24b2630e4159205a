"""Handles every Web API request: reads its arguments and token, finds the method, returns the response with
Slack's headers, and records the app's mistakes.
"""

import base64
import json
import secrets
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from urllib.parse import parse_qsl

from sandbox import scopes
from sandbox.api import chat, conversations, files, oauth, people, reactions, views
from sandbox.api.arguments import Arguments
from sandbox.deliveries import Exchange
from sandbox.errors import SlackError
from sandbox.faults import Fault
from sandbox.oauth import NEED_TEAM
from sandbox.platform import Platform
from sandbox.records import Json

Method = Callable[[Platform, Arguments], Json]

METHODS: dict[str, Method] = {
    **chat.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **oauth.METHODS,
    **people.METHODS,
    **reactions.METHODS,
    **views.METHODS,
}

# Methods that need the app-level token instead of the bot's.
APP_LEVEL = {"apps.connections.open"}

# Methods that may be called without any token.
OPEN = {"api.test", "oauth.v2.access"}

# Refusals that a correct app never gets: each is recorded as a problem. The others (an archived channel, a
# deleted message, a view changed meanwhile) can happen to a correct app.
DEFECTS = frozenset(
    [
        "not_authed",
        "invalid_auth",
        "not_allowed_token_type",
        "unknown_method",
        "missing_scope",
        "invalid_arguments",
        "missing_argument",
        "invalid_json",
        "json_not_object",
        "invalid_post_type",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_attachments",
        "invalid_metadata_format",
        "metadata_too_large",
        "no_text",
        "msg_too_long",
        "msg_blocks_too_long",
        "too_many_attachments",
        "view_too_large",
        "invalid_trigger_id",
        "expired_trigger_id",
        "exchanged_trigger_id",
        "push_limit_reached",
        "duplicate_external_id",
        "invalid_cursor",
        "invalid_limit",
        "invalid_name",
        "invalid_ts_latest",
        "invalid_ts_oldest",
    ]
)


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request to a Web API method, read but not yet parsed."""

    method: str  # `chat.postMessage`
    http_method: str
    query: str
    headers: Mapping[str, str]  # lower-case names
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """The HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


def call(platform: Platform, request: Request, fault: Fault | None = None) -> Response:
    """Answer one Web API request; `fault` is the fault that affects it, if any."""
    platform, exchange, arguments, warnings = _receive(platform, request)
    status, retry_after = 200, None
    try:
        if isinstance(arguments, SlackError):
            raise arguments
        _meet_troubles(platform, request.method, arguments, fault)
        answer = {"ok": True, **_perform(platform, request.method, arguments)}
    except SlackError as refusal:
        retry_after = refusal.extra.pop("retry_after", None)
        status = 200 if retry_after is None else 429
        answer = {"ok": False, "error": refusal.error, **refusal.extra}
        if refusal.messages:
            answer["response_metadata"] = {"messages": refusal.messages}
        if refusal.error in DEFECTS and fault is None and platform.revoked is None:
            details = "; ".join(refusal.messages) or ", ".join(f"{k}: {v}" for k, v in refusal.extra.items())
            platform.problem(refusal.error, f"{request.method} was refused. {details}".rstrip())
    except Exception:
        # A bug of the sandbox itself: the app gets the error that Slack returns for its own bugs, and the
        # bug is recorded as a problem for the test.
        platform.problem("sandbox_defect", f"{request.method}: {traceback.format_exc()}")
        answer = {"ok": False, "error": "internal_error"}
    if warnings:
        answer["warning"] = ",".join(warnings)
        answer.setdefault("response_metadata", {})["warnings"] = warnings
    exchange.answer = answer
    exchange.answered_at = platform.clock.now()
    headers = _headers(platform, request.method)
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return Response(status, headers, json.dumps(answer).encode())


def _receive(platform: Platform, request: Request) -> tuple[Platform, Exchange, Arguments | SlackError, list[str]]:
    """The workspace that a call is about, its record, and its arguments with the token, or why they are none."""
    exchange = Exchange(kind="web_api", name=request.method, sent={}, at=platform.clock.now())
    try:
        given, warnings = _given(request)
    except SlackError as refusal:
        platform.deliveries.traffic.append(exchange)
        return platform, exchange, refusal, []
    token = given.pop("token", None) or _credentials(request.headers, "bearer")
    exchange.sent = dict(given)
    place = platform.oauth.find_workspace(token, given) or platform
    place.deliveries.traffic.append(exchange)
    client = _client(request.headers) if request.method == "oauth.v2.access" else {}
    return place, exchange, Arguments({**given, **client, "token": token}), warnings


def _meet_troubles(platform: Platform, method: str, arguments: Arguments, fault: Fault | None) -> None:
    """Raises SlackError where the call is refused whatever it asks for."""
    if fault is not None and fault.error:
        raise SlackError(fault.error, **_limited(fault.retry_after))
    wait = platform.limits.wait(method, str(arguments.given.get("channel") or ""))
    if wait:
        raise SlackError("ratelimited", **_limited(wait))


def _limited(retry_after: int | None) -> Json:
    return {} if retry_after is None else {"retry_after": retry_after}


def _perform(platform: Platform, method: str, arguments: Arguments) -> Json:
    perform = METHODS.get(method)
    if perform is None:
        raise SlackError("unknown_method", req_method=method)
    if method not in OPEN:
        _authorize(platform, method, arguments, arguments.text("token"))
    with platform.workspace.lock:
        return perform(platform, arguments)


def _authorize(platform: Platform, method: str, arguments: Arguments, token: str | None) -> None:
    app = platform.app
    if not token:
        raise SlackError("not_authed")
    found = platform.oauth.find(token)
    if found is None and token != app.app_token:
        raise SlackError("invalid_auth")
    if platform.revoked is not None:
        raise SlackError(platform.revoked)
    if (token == app.app_token) != (method in APP_LEVEL):
        raise SlackError("not_allowed_token_type")
    if found is None:
        return
    platform.oauth.check(found)
    if platform not in found.installation.workspaces:
        raise SlackError("team_access_not_granted")
    if found.installation.of_enterprise and method in NEED_TEAM and not arguments.text("team_id"):
        raise SlackError("missing_argument", messages=["[ERROR] missing required field: team_id"])
    scopes.require_method(app, method)


def _credentials(headers: Mapping[str, str], scheme: str) -> str | None:
    kind, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if kind.lower() == scheme and given.strip() else None


def _client(headers: Mapping[str, str]) -> Json:
    """The id and secret of the app, as basic credentials."""
    try:
        client_id, _, client_secret = base64.b64decode(_credentials(headers, "basic") or "").decode().partition(":")
    except ValueError:
        return {}
    return {"client_id": client_id, "client_secret": client_secret} if client_id else {}


def _given(request: Request) -> tuple[Json, list[str]]:
    """The arguments, and the warnings that Slack adds to its response."""
    given: Json = dict(parse_qsl(request.query, keep_blank_values=True))
    warnings: list[str] = []
    if request.http_method != "POST" or not request.body:
        return given, warnings
    content_type, _, parameters = request.headers.get("content-type", "").partition(";")
    content_type = content_type.strip().lower()
    if content_type == "application/json":
        if "charset" not in parameters.lower():
            warnings.append("missing_charset")
        try:
            body = json.loads(request.body)
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        return given | body, warnings
    if content_type == "application/x-www-form-urlencoded":
        if "charset" in parameters.lower():
            warnings.append("superfluous_charset")
        try:
            return given | dict(parse_qsl(request.body.decode(), keep_blank_values=True)), warnings
        except UnicodeDecodeError:
            raise SlackError("invalid_charset") from None
    raise SlackError("invalid_post_type" if content_type else "missing_post_type")


def _headers(platform: Platform, method: str) -> dict[str, str]:
    return {
        "content-type": "application/json; charset=utf-8",
        "cache-control": "private, no-cache, no-store, must-revalidate",
        "x-oauth-scopes": ",".join(sorted(platform.app.scopes)),
        "x-accepted-oauth-scopes": ",".join(scopes.accepted(method)),
        "x-slack-req-id": secrets.token_hex(16),
        "date": format_datetime(platform.clock.utc(), usegmt=True),
    }
