"""`/healthz`, `/readyz` and `/metrics`: what orchestrators and Prometheus ask. Every process serves these three."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from bot.program import PROGRAM
from storage.engine import Store
from storage.errors import DatabaseAway, ReadOnlyServer
from storage.migrate import is_schema_current

# How many of these requests are worked on at once: each may wait for a database that hangs.
_AT_ONCE = 2


def add_health_routes(
    app: FastAPI,
    store: Store,
    *,
    slack_problem: Callable[[], str | None],
    registry: CollectorRegistry,
    metrics_token: str | None = None,
    check_cells: Callable[[], Mapping[str, str]] | None = None,
    find_other_problem: Callable[[], str | None] | None = None,
) -> None:
    """Adds the three routes to an application.

    `store` is the database to check. `slack_problem` gives what is wrong with the connection to Slack, None when it
    stands; it must not block. `metrics_token` is METRICS_TOKEN. `check_cells` gives what is wrong with the database of
    each other cell, "ok" where nothing is. `find_other_problem` gives what is wrong with the other processes of a
    group, None where nothing is.
    """
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    @app.get("/healthz", tags=["health"])
    @app.head("/healthz", include_in_schema=False)  # load balancers ask so
    async def healthz() -> dict[str, str]:
        """Whether the process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    @app.head("/readyz", include_in_schema=False)  # load balancers ask so
    async def readyz() -> Response:
        """Whether the bot can work: the database, its schema, the connection to Slack."""
        checks = await anyio.to_thread.run_sync(lambda: check_database(store), limiter=limiter)
        ready = all(value == "ok" for value in checks.values())
        if check_cells is not None:
            cells = await anyio.to_thread.run_sync(check_cells, limiter=limiter)
            # The organizations of one cell are served whatever has become of the others.
            ready = ready or "ok" in cells.values()
        slack = slack_problem() or "ok"
        ready = ready and slack == "ok"
        if find_other_problem is not None:
            problem = await anyio.to_thread.run_sync(find_other_problem, limiter=limiter)
            checks["processes"] = problem or "ok"
            ready = ready and problem is None
        body = {"status": "ok" if ready else "not ready", **checks, "slack": slack}
        return JSONResponse(body | ({"cells": cells} if check_cells else {}), status_code=200 if ready else 503)

    @app.get("/metrics", tags=["health"])
    @app.head("/metrics", include_in_schema=False)  # load balancers ask so
    async def metrics(request: Request) -> Response:
        """Metrics for Prometheus."""
        if metrics_token is not None and not _is_authorized(request, metrics_token):
            return Response("Not allowed: METRICS_TOKEN is needed as a bearer token.\n", 401, _ASK_FOR_TOKEN)
        # Some gauges are computed when they are read, and those of the database may take long.
        text = await anyio.to_thread.run_sync(lambda: generate_latest(registry), limiter=limiter)
        return Response(text, media_type=CONTENT_TYPE_LATEST)


_ASK_FOR_TOKEN = {"WWW-Authenticate": "Bearer"}


def _is_authorized(request: Request, token: str) -> bool:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), token.encode())


def check_database(store: Store) -> dict[str, str]:
    """What is wrong with a database and its schema; "ok" where nothing is."""
    try:
        store.ensure_writable()
        current = is_schema_current(store)
    except ReadOnlyServer:
        return {"database": "is read-only", "schema": "not known"}
    except DatabaseAway:
        return {"database": "cannot be used", "schema": "not known"}
    return {"database": "ok", "schema": "ok" if current else f"older than the program: {PROGRAM} migrate"}
