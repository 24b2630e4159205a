"""`serve --role`: what answers and what sends are processes of their own, any number of each on one database."""

from __future__ import annotations

import signal

import httpx
import pytest

from sandbox import Sandbox
from storage.engine import Store
from tests.patience import PATIENCE_S
from tests.slack.serving import Serve, Serving
from tests.slack.test_wrong_clocks import token as create_token
from tests.stories.conftest import Cast

HEALTH = ("/healthz", "/readyz", "/metrics")
OTHERS = ("/", "/docs", "/openapi.json", "/intake/docs", "/intake/openapi.json", "/intake/events", "/slack/events")


def get(bot: Serving, path: str) -> httpx.Response:
    return httpx.get(f"{bot.url}{path}", timeout=PATIENCE_S)


@pytest.mark.parametrize("over_http", [False, True], ids=["socket", "http"])
def test_what_web_takes_a_worker_sends(
    slack: Sandbox, cast: Cast, store: Store, serve: Serve, *, over_http: bool
) -> None:
    web = serve(role="web", over_http=over_http)
    answer = cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
    assert "#1 Payments fail" in answer.text
    taken = httpx.post(
        f"{web.url}/intake/events",
        json={"dedup_key": "disk", "title": "Disk is full", "project": "checkout"},
        headers={"Authorization": f"Bearer {create_token(store)}"},
        timeout=PATIENCE_S,
    )
    assert taken.status_code == 202
    slack.settle()
    with store.read() as connection:  # nothing but a worker takes from the outbox
        assert connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar_one() == 2

    worker = serve(role="worker")
    for title in ("#1 Payments fail", "#2 Disk is full"):
        cast.ben.wait_for_message(cast.checkout, containing=title, timeout=PATIENCE_S)
    cast.ada.command("/incident", "resolve 1", channel=cast.random)
    card = cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail", timeout=PATIENCE_S)
    card.wait_for(lambda shown: "Resolved" in shown.markup, timeout=PATIENCE_S)

    for bot in (web, worker):
        assert get(bot, "/readyz").json() == {"status": "ok", "database": "ok", "schema": "ok", "slack": "ok"}
        bot.process.send_signal(signal.SIGTERM)
        assert bot.end() == 0


def test_a_worker_serves_health_and_metrics_alone(cast: Cast, serve: Serve) -> None:
    worker = serve(role="worker")
    assert [get(worker, path).status_code for path in HEALTH] == [200, 200, 200]
    assert {path: get(worker, path).status_code for path in OTHERS} == dict.fromkeys(OTHERS, 404)
    assert httpx.post(f"{worker.url}/intake/events", json={}, timeout=PATIENCE_S).status_code == 404
    assert cast.ada  # the organization is there, so what is missing is missing by the role


def test_metrics_may_want_a_token(cast: Cast, serve: Serve) -> None:
    worker = serve(role="worker", environment={"METRICS_TOKEN": "only-for-prometheus"})
    assert get(worker, "/healthz").status_code == 200
    refused = get(worker, "/metrics")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert "tocsin" not in refused.text
    for shown, status in (("Bearer only-for-prometheus", 200), ("Bearer other", 401), ("Bearer ümlaut", 401)):
        answer = httpx.get(f"{worker.url}/metrics", headers=[(b"Authorization", shown.encode())], timeout=PATIENCE_S)
        assert answer.status_code == status, shown
    assert cast.ada


def test_a_worker_compares_silences_with_alertmanager(cast: Cast, serve: Serve) -> None:
    worker = serve(role="worker", environment={"ALERTMANAGER_URL": "http://ada:geheim@127.0.0.1:9"})
    line = worker.wait_for("Alertmanager is away; silences stand here alone")
    assert "127.0.0.1:9 cannot be reached" in str(line) and "geheim" not in str(line)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.end() == 0
    assert cast.ada
