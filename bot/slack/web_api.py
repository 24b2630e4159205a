"""The client of the Web API: the SDK's methods and errors, with a time-out for each call as a whole."""

from __future__ import annotations

import json as json_
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse
from tenacity import Retrying, retry_if_exception, stop_after_attempt

from bot import USER_AGENT, tracing
from bot.metrics import SlackCallMetrics
from bot.slack.backoff import Backoff, reason_of, retry_after_s
from bot.slack.transport import build_basic_credentials, post

# The error where the answer is not JSON but, for example, an HTML page of a proxy.
NOT_JSON = "the answer is not JSON"
_REASON = re.compile(r"[a-z0-9_]{1,60}")  # Slack's codes of errors
# With a token of an Enterprise organization these need to be told which workspace is meant.
_OF_A_TEAM = frozenset({"usergroups.list", "usergroups.users.list"})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0


class WebApi(WebClient):
    """A WebClient whose calls take at most `timeout_s` seconds each. They raise SlackApiError, OSError, HTTPException.

    Only rate-limited calls are retried, up to `tries` attempts. Whether anything else may be retried, the caller knows.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        timeout_s: float,
        tries: int = 1,
        metrics: SlackCallMetrics | None = None,
        team_id: str | None = None,
    ) -> None:
        """`team_id`: the workspace to name where a token of a whole Enterprise organization leaves it open."""
        super().__init__(
            token=token,
            base_url=base_url,
            logger=logging.getLogger("slack_sdk"),
            retry_handlers=[],
            user_agent_prefix=USER_AGENT,
        )
        self._timeout_s = timeout_s
        self.team_id = team_id
        self._metrics = metrics
        self._try: Callable[..., SlackResponse] = self._measure
        if tries > 1:
            self._try = Retrying(
                retry=retry_if_exception(_is_rate_limit),
                stop=stop_after_attempt(tries),
                wait=Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S),
                reraise=True,
            ).wraps(self._measure)

    def api_call(
        self,
        api_method: str,
        *,
        http_verb: str = "POST",  # noqa: ARG002  # the SDK's, which says GET where Slack takes both
        files: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        json: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: dict[str, str] | None = None,
    ) -> SlackResponse:
        """Calls a method with JSON or a form. Slack takes POST for all of them."""
        assert files is None, "files go to upload URLs"
        form, sent = {**(params or {}), **(data or {})}, dict(headers or {})
        if auth is not None:  # the app calls, and not its bot in a workspace
            sent["Authorization"] = build_basic_credentials(auth["client_id"], auth["client_secret"])
        elif self.team_id is not None and api_method in _OF_A_TEAM:
            form["team_id"] = form.get("team_id") or self.team_id
        return self._try(api_method, form, json, sent)

    def _measure(self, method: str, *given: Any) -> SlackResponse:
        with tracing.span(f"slack {method}", tracing.CLIENT) as span:
            return self._measure_call(span, method, *given)

    def _measure_call(self, span: tracing.Span, method: str, *given: Any) -> SlackResponse:
        started, result, wait_s = time.perf_counter(), "no_answer", None
        try:
            response = self._call(method, *given)
            result = "ok"
            return response
        except SlackApiError as error:
            reason = reason_of(error)
            result = reason if _REASON.fullmatch(reason) else f"http_{error.response.status_code}"
            wait_s = retry_after_s(error.response.headers)
            raise
        finally:
            span.set(result=result)
            if self._metrics is not None:
                self._metrics.record(method, result, time.perf_counter() - started, wait_s)

    def _call(
        self, method: str, form: Mapping[str, Any], json: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> SlackResponse:
        fields = {name: int(v) if isinstance(v, bool) else v for name, v in form.items() if v is not None}
        token = fields.pop("token", None) or self.token
        sent = {**self.headers, **headers, "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(fields).encode()
        if json is not None:
            sent["Content-Type"] = "application/json;charset=utf-8"
            body = json_.dumps(json).encode()
        if token:
            sent["Authorization"] = f"Bearer {token}"
        url = self.base_url + method
        answer = post(url, body, sent, timeout_s=self._timeout_s)
        response = SlackResponse(
            client=self,
            http_verb="POST",
            api_url=url,
            req_args={},
            data=_data_of(answer.text),
            headers=answer.headers,
            status_code=answer.status,
        )
        if answer.status != 200 or not response.get("ok"):
            raise SlackApiError(f"{method} failed with HTTP {answer.status}", response)  # type: ignore[no-untyped-call]
        return response


def _data_of(text: str) -> dict[str, Any]:
    try:
        found = json_.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"ok": False, "error": f"{NOT_JSON}: {text[:100]}"}


def _is_rate_limit(error: BaseException) -> bool:
    return isinstance(error, SlackApiError) and error.response.status_code == 429
