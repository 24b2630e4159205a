"""The HTTP application, with the intake. Every answer of the intake is JSON; nothing here blocks the event loop."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import anyio
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CollectorRegistry
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from bot import tracing
from bot.health import add_health_routes
from bot.intake import docs_page, openapi
from bot.intake.admission import Admission
from bot.intake.batching import Batcher
from bot.intake.metrics import IntakeMetrics
from bot.intake.rate_limit import RateLimiter
from bot.intake.refusal_log import RefusalLog
from bot.intake.sentry import is_signature_valid
from bot.intake.service import ADMITTED_AT_ONCE, Delivery, DeliveryResult, IntakeService, Refused, refused
from bot.intake.tokens import TOKEN_PREFIX, Source
from bot.request_bodies import Body, BodyTooLarge, MemoryLimit, MemoryLimitReached
from bot.request_ids import get_request_id
from bot.saturation import PoolUse, Saturation
from bot.secret_box import SecretBox
from storage.engine import Store
from storage.errors import Contended, DatabaseAway, NoAnswerInTime, OrganizationMoving

log = structlog.get_logger(__name__)

MAX_BODY = 8 * 1024 * 1024  # bytes; some 10,000 alerts of Alertmanager's
# Larger deliveries are processed apart from the others.
SMALL_BODY = 64 * 1024
# Of Sentry, whose body must be read before its signature can be checked. It holds one event.
MAX_SIGNED_BODY = 1024 * 1024
# Bytes of bodies in memory at once: of all deliveries, and of those with one token. Signed bodies have a limit of their
# own, because anyone who guesses the id of a token can use it up.
BODY_MEMORY, BODY_MEMORY_PER_TOKEN = 128 * 1024 * 1024, 64 * 1024 * 1024
SIGNED_MEMORY, SIGNED_MEMORY_PER_TOKEN = 32 * 1024 * 1024, 8 * 1024 * 1024
# Batches of deliveries (`bot/intake/batching.py`) at once, each of another token. Small deliveries share batches of up
# to SMALL_BODY, a large one is a batch by itself, and neither waits for the other.
WORKERS = 16
# The intake has database connections of its own, so a storm of alerts takes none from people. Its workers share them.
READING = ADMITTED_AT_ONCE + 1  # one for the query of `admission.py`
WRITING = 6
POOL_WAIT_S = 5.0
# When many deliveries arrive, this wait lets more of them share a batch, which leaves more of the machine to people.
BATCH_INTERVAL_S = 0.01
# Deliveries that wait for their batch, their bodies in memory. Further ones are answered with 503 and Retry-After.
MAX_WAITING = 200
MAX_WAITING_PER_TOKEN = 100  # so that a token whose deliveries are stuck leaves room for the others
RETRY_AFTER_S = 5
MOVING_RETRY_AFTER_S = 30
# How much of a refused body is read and dropped after the answer, and for how long. Closing at once would reset the
# connection, and a client that reads only after it has sent everything (Python's urllib) would never see the answer.
MAX_LINGER = 64 * 1024 * 1024
LINGER_S = 4.0

_BEARER = re.compile(rf"Bearer +({TOKEN_PREFIX}[A-Za-z0-9_-]{{1,200}}) *", re.IGNORECASE)


def find_bearer(request: Request) -> str | None:
    """The token of a delivery; None where it has none of ours."""
    shown = _BEARER.fullmatch(request.headers.get("authorization", ""))
    return shown[1] if shown else None


class Receiver(Protocol):
    """Answers deliveries: the intake, or what passes them on to those of several cells."""

    async def receive(self, request: Request, source: Source) -> Response: ...

    async def receive_signed(self, request: Request, token_id: str) -> Response: ...


class Intake:
    """Receives deliveries over HTTP."""

    def __init__(
        self, service: IntakeService, admission: Admission, metrics: IntakeMetrics, now: Callable[[], datetime]
    ) -> None:
        self._admission = admission
        self._memory = MemoryLimit(BODY_MEMORY, BODY_MEMORY_PER_TOKEN)
        self._signed_memory = MemoryLimit(SIGNED_MEMORY, SIGNED_MEMORY_PER_TOKEN)
        self._metrics = metrics
        self._now = now
        self._refusals = RefusalLog(time.monotonic)
        self._workers = anyio.CapacityLimiter(WORKERS)
        self._batcher: Batcher[Delivery, DeliveryResult] = Batcher(
            service.process, max_size=SMALL_BODY, interval_s=BATCH_INTERVAL_S, workers=self._workers
        )

    def list_pools(self) -> list[PoolUse]:
        """The use of the workers that apply deliveries."""
        limiter = self._workers
        return [PoolUse("intake", limiter.borrowed_tokens, WORKERS, self._batcher.waiting)]

    async def receive(self, request: Request, source: Source) -> Response:
        """Answers a delivery with a bearer token."""
        return await self._trace(request, self._with_token(request, source), source)

    async def receive_signed(self, request: Request, token_id: str) -> Response:
        """Answers a delivery of Sentry, which is signed."""
        return await self._trace(request, self._with_signature(request, token_id), Source.SENTRY)

    async def _trace(self, request: Request, work: Awaitable[DeliveryResult], source: Source) -> Response:
        with tracing.span(f"intake {source}", tracing.SERVER) as span:
            response = await self._answer(request, work, source)
            span.set(status=response.status_code)
            return response

    async def _answer(self, request: Request, work: Awaitable[DeliveryResult], source: Source) -> Response:
        try:
            result = await work
            self._refusals.note(source, result.token_id, result.errors)
            return JSONResponse(_body(result), status_code=202)
        except Refused as error:
            self._refusals.note(source, error.token_id, error.errors)
            return self._refusal(request, error, source)
        except OrganizationMoving:
            sentence = "is being moved to another database; try again in a few minutes"
            moving = refused(503, "moving", "organization", sentence, retry_after_s=MOVING_RETRY_AFTER_S)
            return self._refusal(request, moving, source)
        except NoAnswerInTime:
            slow = refused(503, "no_answer_in_time", "database", "took too long", retry_after_s=RETRY_AFTER_S)
            return self._refusal(request, slow, source)
        except (DatabaseAway, Contended):
            return self.refuse_away(request, source)
        except ClientDisconnect:
            return self._refusal(request, refused(400, "cut_off", "body", "ended early"), source)
        except Exception:
            id_ = get_request_id()
            log.exception("a delivery failed", request_id=id_, source=source.value)
            failed = refused(500, "failed", "body", f"could not be processed; the log says why: {id_}")
            return self._refusal(request, failed, source)

    def refuse_away(self, request: Request, source: Source) -> Response:
        """The answer while the database is away: the sender tries again."""
        away = refused(503, "database_away", "database", "cannot be used at the moment", retry_after_s=RETRY_AFTER_S)
        return self._refusal(request, away, source)

    async def _with_token(self, request: Request, source: Source) -> DeliveryResult:
        bearer = find_bearer(request)
        if bearer is None:
            raise refused(401, "bad_token", "Authorization", f"should be: Bearer {TOKEN_PREFIX}…")
        self._check_headers(request, MAX_BODY)
        if not await self._admission.knows(bearer):
            raise refused(401, "bad_token", "Authorization", "no such token, or it has been revoked")
        with self._memory.body(bearer, MAX_BODY) as body:
            read = await _read(request, body)
            return await self._process(bearer, Delivery(source, read, self._now(), bearer))

    async def _with_signature(self, request: Request, token_id: str) -> DeliveryResult:
        shown = request.headers.get("sentry-hook-signature", "")
        resource = request.headers.get("sentry-hook-resource", "")
        if not re.fullmatch(r"[0-9]{1,18}", token_id):
            raise refused(401, "bad_token", "path", "no such token, or it has been revoked")
        if not shown:
            raise refused(401, "bad_signature", "Sentry-Hook-Signature", "is missing")
        if not resource:
            raise refused(400, "no_resource", "Sentry-Hook-Resource", "is missing")
        self._check_headers(request, MAX_SIGNED_BODY)
        id_ = int(token_id)
        if not await self._admission.knows(id_):
            raise refused(401, "bad_token", "path", "no such token, or it has been revoked")
        with self._signed_memory.body(id_, MAX_SIGNED_BODY) as body:
            read = await _read(request, body)

            def is_signed_with(secret: str) -> bool:
                return is_signature_valid(secret, read, shown)

            delivery = Delivery(
                Source.SENTRY, read, self._now(), token_id=id_, is_signed_with=is_signed_with, resource=resource
            )
            return await self._process(id_, delivery)

    async def _process(self, token: str | int, delivery: Delivery) -> DeliveryResult:
        size = len(delivery.body)
        key = (delivery.source, token, size > SMALL_BODY)
        # Checked again: many bodies may have been read since the headers of this one.
        if self._batcher.waiting >= MAX_WAITING or self._batcher.waiting_of(key) >= MAX_WAITING_PER_TOKEN:
            raise _busy()
        return await self._batcher.submit(key, delivery, size)

    def _check_headers(self, request: Request, largest: int) -> None:
        """Refuses what can be refused without its body. Raises Refused."""
        length = _content_length(request)
        if (request.headers.get("content-encoding") or "identity").lower() != "identity":
            raise refused(415, "encoded", "Content-Encoding", "compressed bodies are not accepted")
        if length is not None and length > largest:
            raise _too_large(largest)
        if self._batcher.waiting >= MAX_WAITING:
            raise _busy()

    def _refusal(self, request: Request, error: Refused, source: Source) -> Response:
        self._metrics.refused.labels(source.value, error.reason).inc()
        # Alertmanager gives up on every 4xx and retries every 5xx.
        status = 503 if error.status == 429 and source is Source.ALERTMANAGER else error.status
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
        kind = JSONResponse if getattr(request.state, "whole", False) else _Early
        return kind(_body(DeliveryResult(errors=error.errors)), status_code=status, headers=headers)


class _Early(JSONResponse):
    """An answer to a request whose body has not been read: it is sent at once, then the rest is read and dropped."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if not any(name == b"expect" for name, _ in scope["headers"]):  # with Expect, the body has not been sent
            with anyio.move_on_after(LINGER_S):
                await _drop(receive)
        await send({"type": "http.response.body", "body": b""})


async def _drop(receive: Receive) -> None:
    dropped = 0
    while dropped < MAX_LINGER:
        part = await receive()
        dropped += len(part.get("body", b""))
        if not part.get("more_body"):
            return


def _body(result: DeliveryResult) -> dict[str, Any]:
    return openapi.Answer(accepted=result.accepted, errors=result.errors).model_dump()


def _content_length(request: Request) -> int | None:
    value = request.headers.get("content-length", "")
    return int(value) if re.fullmatch(r"[0-9]{1,15}", value) else None


async def _read(request: Request, body: Body) -> bytes:
    try:
        read = await body.read(request)
    except BodyTooLarge:
        raise _too_large(body.largest) from None
    except MemoryLimitReached:
        raise _busy() from None
    request.state.whole = True
    return read


def _busy() -> Refused:
    return refused(503, "busy", "body", "too many deliveries at once", retry_after_s=RETRY_AFTER_S)


def _too_large(largest: int) -> Refused:
    return refused(413, "too_large", "body", f"is larger than {largest:,} bytes")


def open_intake_store(store: Store) -> Store:
    """A store on the same database, with connections of its own, for deliveries."""
    return store.open_beside(reading=READING, writing=WRITING, wait_s=POOL_WAIT_S)


# Given the intake and a function that makes one for another database: what answers deliveries.
Distribute = Callable[[Intake, Callable[[Store], Intake]], Receiver]


def create_http_app(
    store: Store,
    *,
    intake: Store | None = None,
    slack_problem: Callable[[], str | None],
    registry: CollectorRegistry | None = None,
    rate_limiter: RateLimiter | None = None,
    secret_key: str | None = None,
    public_url: str | None = None,
    metrics_token: str | None = None,
    saturation: Saturation | None = None,
    distribute: Distribute | None = None,
    check_cells: Callable[[], Mapping[str, str]] | None = None,
    shown: CollectorRegistry | None = None,
    find_other_problem: Callable[[], str | None] | None = None,
) -> FastAPI:
    """The HTTP application on a database.

    `store` is checked for the bot's health; deliveries go to `intake` (see `open_intake_store`), by default the same.
    `slack_problem` gives what is wrong with the connection to Slack, None when it stands; it must not block.
    `secret_key` is TOCSIN_SECRET_KEY; without it Sentry's deliveries are refused. `public_url` is PUBLIC_URL, which the
    description names. `metrics_token` is METRICS_TOKEN.
    `saturation` is told of the pool of workers. `distribute` passes deliveries on to other cells, whose health
    `check_cells` gives. `registry` gets the metrics of the intake, and `/metrics` gives `shown`, by default the same.
    `find_other_problem` is for `/readyz`.
    """
    counters = registry if registry is not None else CollectorRegistry()
    metrics = IntakeMetrics(counters)

    def create_intake(on: Store, limiter: RateLimiter) -> Intake:
        box = SecretBox(secret_key) if secret_key else None
        service = IntakeService(on, metrics, rate_limiter=limiter, secret_box=box)
        return Intake(service, Admission(on, time.monotonic), metrics, on.clock.now)

    own = create_intake(intake or store, rate_limiter or RateLimiter())
    if saturation is not None:
        saturation.watch_workers(own.list_pools)
    deliveries = distribute(own, lambda other: create_intake(other, RateLimiter())) if distribute else own
    app = FastAPI(
        title="Tocsin",
        summary="Alerts from other systems become incidents.",
        docs_url=None,  # FastAPI's page loads its scripts from another site
        redoc_url=None,
        servers=[{"url": public_url}] if public_url else None,
        openapi_url="/intake/openapi.json",
    )

    @app.post("/intake/events", **openapi.EVENTS)
    async def events(request: Request) -> Response:
        return await deliveries.receive(request, Source.EVENTS)

    @app.post("/intake/alertmanager", **openapi.ALERTMANAGER)
    async def alertmanager(request: Request) -> Response:
        return await deliveries.receive(request, Source.ALERTMANAGER)

    @app.post("/intake/grafana", **openapi.GRAFANA)
    async def grafana(request: Request) -> Response:
        return await deliveries.receive(request, Source.GRAFANA)

    @app.post("/intake/sentry/{token_id}", **openapi.SENTRY)
    async def sentry(request: Request, token_id: str) -> Response:
        return await deliveries.receive_signed(request, token_id)

    @app.get("/intake/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page.render_page(app.openapi()), headers=docs_page.HEADERS)

    add_health_routes(
        app,
        store,
        slack_problem=slack_problem,
        registry=counters if shown is None else shown,
        metrics_token=metrics_token,
        check_cells=check_cells,
        find_other_problem=find_other_problem,
    )
    return app
