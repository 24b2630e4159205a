"""HTTP mode: sends payloads as signed requests to the app's request URLs, with the headers of a retry, and
interprets the responses.
"""

import hashlib
import hmac
import http.client
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from sandbox.clock import Clock
from sandbox.deliveries import Deliveries, Delivery
from sandbox.errors import SandboxError
from sandbox.records import App, Json

AT_ONCE = 16  # concurrent requests
USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"


@dataclass(frozen=True, slots=True)
class RequestUrls:
    """The URLs at which an app receives Slack's requests; most apps have one URL for everything."""

    events: str
    interactivity: str
    commands: str
    options: str


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The `X-Slack-Signature` of a request: docs.slack.dev/authentication/verifying-requests-from-slack."""
    signed = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class HttpMode:
    """A transport that posts to the app, each request on a connection of its own: if a reused
    connection broke, it would be unclear whether the app received the request.
    """

    timeout_reason = "http_timeout"

    def __init__(self, app: App, deliveries: Deliveries, clock: Clock, urls: RequestUrls) -> None:
        self._app = app
        self._deliveries = deliveries
        self._clock = clock
        self._urls = urls
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sandbox-http")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def verify(self) -> None:
        """Send a challenge that the app must echo, as Slack does when a URL is set; raises SandboxError."""
        challenge = secrets.token_urlsafe(24)
        given = {"token": self._app.verification_token, "challenge": challenge, "type": "url_verification"}
        try:
            status, _, body = self._post(self._urls.events, json.dumps(given).encode(), "application/json", {})
        except OSError as error:
            raise SandboxError(f"{self._urls.events} takes no connection: {error}") from error
        text = body.decode(errors="replace")
        echoes = {text.strip(), *parse_qs(text).get("challenge", [])}
        try:
            answer = json.loads(text)
            echoes.add(answer.get("challenge", "") if isinstance(answer, dict) else "")
        except ValueError:
            pass
        if status != 200 or challenge not in echoes:
            raise SandboxError(f"{self._urls.events} did not answer the challenge: {status} {text[:200]!r}")

    def dispatch(self, delivery: Delivery) -> bool:
        """Send a payload; its response is handled on a thread of the pool."""
        self._pool.submit(self._deliver, delivery)
        return True

    def _deliver(self, delivery: Delivery) -> None:
        url, body, content_type = self._written(delivery)
        headers = {}
        if delivery.retry_attempt:
            headers = {
                "X-Slack-Retry-Num": str(delivery.retry_attempt),
                "X-Slack-Retry-Reason": delivery.retry_reason,
            }
        try:
            status, answered, text = self._post(url, body, content_type, headers)
        except TimeoutError:
            return  # the delivery times out in `deliveries`
        except OSError:
            self._later(lambda: self._deliveries.fail(delivery, "connection_failed"))
            return
        if not 200 <= status < 300:
            self._deliveries.problem(
                "http_error", f"{delivery.exchange.name!r} was answered with {status}: {text[:200]!r}"
            )
            delivery.no_retry = answered.get("x-slack-no-retry") == "1"
            self._later(lambda: self._deliveries.fail(delivery, "http_error"))
            return
        arrived = self._clock.now()
        answer = self._understood(delivery, text)
        self._later(lambda: self._deliveries.acknowledge(delivery.envelope_id, answer, arrived))

    def _later(self, action: Any) -> None:
        assert self._deliveries.loop is not None
        self._deliveries.loop.call_soon_threadsafe(action)

    def _written(self, delivery: Delivery) -> tuple[str, bytes, str]:
        """The URL, body and content type of a payload."""
        payload, urls = delivery.payload, self._urls
        form = "application/x-www-form-urlencoded"
        if delivery.kind == "slash_commands":
            return urls.commands, urlencode(payload).encode(), form
        text = json.dumps(payload)
        if delivery.kind == "events_api":
            return urls.events, text.encode(), "application/json"
        url = urls.options if payload.get("type") == "block_suggestion" else urls.interactivity
        return url, urlencode({"payload": text}).encode(), form

    def _understood(self, delivery: Delivery, text: bytes) -> Any:
        """The payload of the response; the response to an event or a click is ignored."""
        if not delivery.accepts_response or not text.strip():
            return None
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            return answer
        if delivery.kind == "slash_commands":
            return {"text": text.decode(errors="replace")}
        return text.decode(errors="replace")

    def _post(self, url: str, body: bytes, content_type: str, more: Json) -> tuple[int, dict[str, str], bytes]:
        """Send a signed request; returns status, headers (lower case) and body. Raises OSError, TimeoutError."""
        timestamp = str(int(self._clock.now()))
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json,*/*",
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign(self._app.signing_secret, timestamp, body),
            **more,
        }
        parts = urlsplit(url)
        path = parts.path or "/"
        if parts.query:
            path += f"?{parts.query}"
        connection = http.client.HTTPConnection(parts.netloc, timeout=self._deliveries.acknowledge_seconds)
        with closing(connection):
            try:
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                content = response.read()
            except http.client.HTTPException as error:
                raise ConnectionError(str(error)) from error
            return response.status, {key.lower(): value for key, value in response.getheaders()}, content
