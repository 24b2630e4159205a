"""The intake over HTTP: who is let in, what is no delivery at all, and health."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import update

from bot.intake import http, service
from bot.intake.server import HttpServer
from bot.intake.tokens import Source
from storage.engine import Store
from storage.models import IntakeToken, Organization
from storage.values import Status
from tests.intake.conftest import START, Bench
from tests.patience import PATIENCE_S

CPU = {"dedup_key": "cpu", "title": "CPU is hot"}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer tocsin_",
        "Bearer tocsin_unknownunknownunknownunknownunknownunk",
        "Basic dG9jc2luOng=",
        "tocsin_unknown",
        "Bearer tocsin_a tocsin_b",
        "Bearer " + "x" * 5000,
    ],
)
def test_without_a_good_token_nothing_is_taken(bench: Bench, header: str | None) -> None:
    answer = bench.client.post("/intake/events", json=CPU, headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["field"] == "Authorization"
    assert bench.incidents() == []


def test_a_token_of_another_source_and_a_revoked_one_are_refused(bench: Bench) -> None:
    assert bench.post(bench.token(source=Source.GRAFANA), CPU).status_code == 401
    token = bench.token()
    assert bench.post(token, CPU).status_code == 202
    with bench.store.write() as tx:
        tx.execute(update(IntakeToken).values(date_revoked=START))
    assert bench.post(token, CPU).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "hint"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "line 1"),
        (b'{"dedup_key": "a", "title": NaN}', 400, "NaN"),
        (b'{"dedup_key": "a", "title": -Infinity}', 400, "Infinity"),
        (b'{"dedup_key": "\xff", "title": "x"}', 400, "UTF-8 at byte 15"),
        ('{"dedup_key": "a", "title": "x"}'.encode("utf-16"), 400, "UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, 400, "nested too deep"),
        (b'{"a":' * 100_000, 400, "nested too deep"),
        (b"[]", 422, "no event"),
        (b"null", 422, "an object"),
        (b"7", 422, "an object"),
        (b'"text"', 422, "an object"),
        (b"[[]]", 422, "an object"),
        (b"{}", 422, "is missing"),
    ],
)
def test_what_is_no_delivery_is_refused_in_words(bench: Bench, body: bytes, status: int, hint: str) -> None:
    answer = bench.client.post("/intake/events", content=body, headers={"Authorization": f"Bearer {bench.token()}"})
    assert answer.status_code == status
    assert hint in answer.json()["errors"][0]["message"]
    assert answer.json()["accepted"] == []


def test_a_body_with_a_byte_order_mark_is_taken(bench: Bench) -> None:
    answer = bench.client.post(
        "/intake/events",
        content=b'\xef\xbb\xbf{"dedup_key": "a", "title": "x"}',
        headers={"Authorization": f"bearer {bench.token()}"},
    )
    assert answer.status_code == 202


@pytest.mark.parametrize("announced", [True, False])
def test_a_huge_body_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch, announced: bool) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 100_000)
    body = b'{"dedup_key": "a", "title": "' + b"x" * 200_000 + b'"}'
    answer = bench.client.post(
        "/intake/events",
        content=body if announced else iter([body[:70_000], body[70_000:]]),
        headers={"Authorization": f"Bearer {bench.token()}"},
    )
    assert answer.status_code == 413
    assert "larger than" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("known", [True, False])
def test_who_listens_only_after_the_last_byte_is_answered_too(bench: Bench, known: bool) -> None:
    """As Python's urllib does. Closed under its hands, such a sender sees a broken connection and tries again."""
    token = bench.token() if known else "tocsin_unknown"
    body = b'{"dedup_key": "a", "title": "' + b"x" * (http.MAX_BODY + 4_000_000) + b'"}'
    request = urllib.request.Request(
        f"{bench.client.base_url}/intake/events", data=body, headers={"Authorization": f"Bearer {token}"}
    )
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=PATIENCE_S)
    with refusal.value as answer:
        assert answer.code == 413
        assert b"larger than" in answer.read()


def test_a_large_body_is_not_read_for_a_stranger(bench: Bench) -> None:
    with socket.create_connection(("127.0.0.1", bench.client.base_url.port or 0)) as line:
        line.settimeout(PATIENCE_S)
        line.sendall(
            b"POST /intake/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tocsin_unknown\r\n"
            b"Content-Length: 1000000\r\n\r\n{"
        )
        assert b"401" in line.recv(1000).splitlines()[0], "answered before the body came"


def test_compressed_bodies_are_refused(bench: Bench) -> None:
    answer = bench.client.post(
        "/intake/events",
        content=b"\x1f\x8b",
        headers={"Authorization": f"Bearer {bench.token()}", "Content-Encoding": "gzip"},
    )
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["field"] == "Content-Encoding"


def test_a_million_labels_do_no_harm(bench: Bench) -> None:
    body = {**CPU, "labels": {f"l{number}": "v" for number in range(300_000)}}
    assert bench.post(bench.token(), body).status_code == 202


def test_over_rate_is_told_with_the_time_to_wait(bench: Bench) -> None:
    token = bench.token()
    batch = [{"dedup_key": "cpu", "title": "CPU is hot"}] * 250
    assert [bench.post(token, batch).status_code for _ in range(3)] == [202, 202, 429]
    answer = bench.post(token, batch)
    assert int(answer.headers["Retry-After"]) > 0
    assert bench.post(bench.token(), CPU).status_code == 202, "another token has its own"


def test_what_came_of_alerts_is_counted(bench: Bench) -> None:
    bench.post(bench.token(), [CPU, {}])
    text = bench.client.get("/metrics").text
    assert 'tocsin_intake_alerts_total{outcome="opened",source="events"} 1.0' in text
    assert 'tocsin_intake_alerts_total{outcome="refused",source="events"} 1.0' in text


def test_every_refusal_is_counted_by_its_reason(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 100_000)
    monkeypatch.setattr(service, "MAX_ITEMS", 300)
    token = bench.token()

    def post(body: bytes, **headers: str) -> int:
        return bench.client.post(
            "/intake/events", content=body, headers={"Authorization": f"Bearer {token}", **headers}
        ).status_code

    many = [{"dedup_key": "cpu", "title": "CPU is hot"}] * 300
    refusals: list[tuple[str, int, Callable[[], int]]] = [
        ("bad_token", 401, lambda: bench.post("tocsin_unknown", CPU).status_code),
        ("not_json", 400, lambda: post(b"{")),
        ("nothing_good", 422, lambda: post(b"{}")),
        ("encoded", 415, lambda: post(b"", **{"Content-Encoding": "gzip"})),
        ("too_large", 413, lambda: post(b" " * 100_001)),
        ("too_many", 413, lambda: post(json.dumps([CPU] * 301).encode())),
        ("over_rate", 429, lambda: [bench.post(token, many).status_code for _ in range(2)][1]),
    ]
    for reason, status, refused in refusals:
        assert refused() == status, reason
        assert _refused(bench, "events", reason) == 1, reason
    path, alert = bench.sentry(), {"action": "critical", "data": {}}
    signature = {"Sentry-Hook-Signature": "00"}
    assert bench.client.post(path, json=alert).status_code == 401
    assert bench.client.post(path, json=alert, headers=signature).status_code == 400
    assert bench.post_signed(path, alert, "metric_alert", secret="another").status_code == 401
    assert bench.post_signed("/intake/sentry/999999", alert, "metric_alert").status_code == 401
    assert [_refused(bench, "sentry", reason) for reason in ("bad_signature", "no_resource", "bad_token")] == [2, 1, 1]
    with bench.store.write() as tx:
        tx.execute(update(Organization).values(incidents=False))
    assert bench.post(token, CPU).status_code == 403
    assert _refused(bench, "events", "switched_off") == 1


def _refused(bench: Bench, source: str, reason: str) -> float:
    line = f'tocsin_intake_refused_total{{reason="{reason}",source="{source}"}} '
    return sum(
        float(one.removeprefix(line)) for one in bench.client.get("/metrics").text.splitlines() if one.startswith(line)
    )


def test_the_database_away_is_503_and_told() -> None:
    store = Store.open("postgresql://tocsin:geheim@127.0.0.1:1/tocsin")
    server = HttpServer(http.create_http_app(store, slack_problem=lambda: None), "127.0.0.1", 0)
    server.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
            headers = {"Authorization": "Bearer tocsin_anything"}
            answer = client.post("/intake/events", json=CPU, headers=headers)
            ready = client.get("/readyz")
            alive = client.get("/healthz")
    finally:
        server.stop()
        store.close()
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert (ready.status_code, ready.json()["database"]) == (503, "cannot be used")
    assert "geheim" not in answer.text + ready.text
    assert alive.status_code == 200


def test_the_same_new_alert_from_many_at_once_opens_one_incident(bench: Bench) -> None:
    token = bench.token()
    batch = [{"dedup_key": f"key-{number}", "title": "x"} for number in range(20)]
    answers: list[int] = []

    def post(reverse: bool) -> None:
        answers.append(bench.post(token, batch[::-1] if reverse else batch).status_code)

    threads = [threading.Thread(target=post, args=(bool(number % 2),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [202] * 8
    assert bench.statuses() == [Status.OPEN] * 20


def test_alive_and_able_to_work(bench: Bench, slack_problems: list[str]) -> None:
    assert bench.client.get("/healthz").json() == {"status": "ok"}
    for path in ("/healthz", "/readyz", "/metrics"):  # HEAD is what many load balancers send
        assert (bench.client.head(path).status_code, bench.client.post(path).status_code) == (200, 405), path
    ready = bench.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ok", "database": "ok", "schema": "ok", "slack": "ok"},
    )
    slack_problems.append("not connected")
    ready = bench.client.get("/readyz")
    assert (ready.status_code, ready.json()["slack"]) == (503, "not connected")


def test_an_old_schema_is_told(bench: Bench, store: Store) -> None:
    with store.write() as tx:
        revision = tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    try:
        ready = bench.client.get("/readyz")
    finally:
        with store.write() as tx:
            tx.exec_driver_sql("UPDATE alembic_version SET version_num = %(r)s", {"r": revision})
    assert ready.status_code == 503
    assert "run_bot.py migrate" in ready.json()["schema"]
