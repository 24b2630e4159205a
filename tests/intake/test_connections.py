"""Whoever reaches the port and says nothing, slowly, or without a token: everybody else is answered all the same."""

from __future__ import annotations

import logging
import resource
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest

from bot.intake import connections, http
from bot.intake.connections import MAX_CONNECTIONS, RESERVED_FILES, TIMEOUTS_S, Phase, max_connections, raise_file_limit
from bot.intake.http import MAX_WAITING, create_http_app
from bot.intake.server import HttpServer
from bot.request_bodies import MemoryLimit, MemoryLimitReached
from storage.engine import Store
from storage.queries import tokens
from tests.intake.conftest import Bench
from tests.patience import PATIENCE_S

ALERT = {"dedup_key": "cpu", "title": "CPU is hot"}
FEW = 20  # connections that the server under test has
MANY = 3 * FEW
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = b"POST /intake/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 500\r\n\r\n{"
Open = Callable[[bytes], socket.socket]


@pytest.fixture
def port(bench: Bench) -> Iterator[int]:
    """Another server for the same organization, with few connections."""
    server = HttpServer(create_http_app(bench.store, slack_problem=lambda: None), "127.0.0.1", 0, connections=FEW)
    server.start()
    yield server.port
    server.stop()


@pytest.fixture
def dial(port: int) -> Iterator[Open]:
    """Connects and sends what is given, and no more."""
    with ExitStack() as opened:

        def connect(sent: bytes) -> socket.socket:
            line = opened.enter_context(closing(socket.create_connection(("127.0.0.1", port), 30)))
            line.sendall(sent)
            return line

        yield connect


def answered(port: int, token: str) -> None:
    """Health is told and a delivery taken, on connections of their own."""
    url = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.post(f"{url}/intake/events", json=ALERT, headers=headers).status_code == 202


def to_the_end(line: socket.socket) -> bytes:
    """What the server still says before it hangs up."""
    said = b""
    try:
        while part := line.recv(65536):
            said += part
    except ConnectionResetError:
        pass
    return said


@pytest.mark.parametrize("what", ["nothing", "headers", "a body", "a refused body", "a body that is signed"])
def test_slow_connections_do_not_keep_others_out(bench: Bench, port: int, dial: Open, what: str) -> None:
    token = bench.token()
    sent = {
        "nothing": b"",
        "headers": HEAD,
        "a body": BODY % token.encode(),
        "a refused body": BODY % b"tocsin_madeup",
        "a body that is signed": f"POST {bench.sentry()} HTTP/1.1\r\nHost: x\r\nSentry-Hook-Resource: r\r\n".encode()
        + b"Sentry-Hook-Signature: 00\r\nContent-Length: 500\r\n\r\n{",
    }[what]
    first = [dial(sent) for _ in range(FEW)]
    for _ in range(MANY):
        dial(sent)
    answered(port, token)
    assert all(b"200 OK" not in to_the_end(line) for line in first), "those who came first have made room"


@pytest.mark.parametrize(
    ("phase", "sent"),
    [
        (Phase.HEAD, b""),
        (Phase.HEAD, HEAD),
        (Phase.HEAD, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD),
        (Phase.BODY, None),
    ],
)
def test_what_takes_too_long_is_told_and_ended(
    bench: Bench, dial: Open, monkeypatch: pytest.MonkeyPatch, phase: Phase, sent: bytes | None
) -> None:
    monkeypatch.setitem(TIMEOUTS_S, phase, 0.2)
    line = dial(BODY % bench.token().encode() if sent is None else sent)
    said = to_the_end(line)
    assert said.startswith(b"HTTP/1.1 200") == (
        sent is not None and sent.startswith(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    )
    assert b"HTTP/1.1 408 Request Timeout" in said


def test_a_byte_now_and_then_does_not_buy_more_time(dial: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TIMEOUTS_S, Phase.HEAD, 0.5)
    line = dial(HEAD)
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.05):
            try:
                line.sendall(b"x")
            except OSError:
                return

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        assert b"200" not in to_the_end(line)
    finally:
        stop.set()
        dripping.join()


def test_who_does_not_read_the_answer_is_not_waited_for(
    bench: Bench, port: int, dial: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TIMEOUTS_S, Phase.WORK, 0.3)
    asked = 2000
    line = dial(b"")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = b"GET /intake/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    sending = threading.Thread(target=lambda: _send(line, request * asked))
    sending.start()
    sending.join()
    assert to_the_end(line).count(b"HTTP/1.1 200") < asked
    answered(port, bench.token())


def _send(line: socket.socket, data: bytes) -> None:
    try:
        line.sendall(data)
    except OSError:
        return


def test_the_path_of_no_token_is_refused_before_the_body_comes(dial: Open) -> None:
    line = dial(
        b"POST /intake/sentry/999999 HTTP/1.1\r\nHost: x\r\nSentry-Hook-Resource: metric_alert\r\n"
        b"Sentry-Hook-Signature: 00\r\nContent-Length: 1000000\r\n\r\n{"
    )
    assert b"401" in line.recv(1000).splitlines()[0]


def test_made_up_tokens_take_no_room_from_good_ones(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    good, looked_up = bench.token(), tokens.filter_valid_tokens
    assert bench.post(good, ALERT).status_code == 202
    free, asked, questions = threading.Event(), threading.Event(), []

    def slow(connection: Any, *, hashes: Collection[str], ids: Collection[int]) -> set[str | int]:
        questions.append(len(hashes))
        asked.set()
        free.wait(PATIENCE_S)
        return looked_up(connection, hashes=hashes, ids=ids)

    monkeypatch.setattr(tokens, "filter_valid_tokens", slow)
    many = MAX_WAITING + 50
    strangers = httpx.Client(base_url=bench.client.base_url, limits=httpx.Limits())

    def try_one(number: int) -> int:
        headers = {"Authorization": f"Bearer tocsin_madeup{number}"}
        return strangers.post("/intake/events", json=ALERT, headers=headers).status_code

    with strangers, ThreadPoolExecutor(many) as pool:
        made_up = pool.map(try_one, range(many))
        assert asked.wait(PATIENCE_S)
        try:
            assert [bench.post(good, ALERT).status_code for _ in range(5)] == [202] * 5
        finally:
            free.set()
        assert set(made_up) == {401}
    assert sum(questions) == many
    assert len(questions) < many / 2, "those that came at once were one question"


def test_a_token_that_is_revoked_is_refused_at_once_although_it_was_let_in(bench: Bench) -> None:
    token = bench.token()
    assert bench.post(token, ALERT).status_code == 202
    with bench.store.write() as tx:
        tx.exec_driver_sql("UPDATE intake_token SET date_revoked = now()")
    assert bench.post(token, ALERT).status_code == 401


def test_bodies_in_memory_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_MEMORY_PER_TOKEN", 10_000)
    server = HttpServer(create_http_app(bench.store, slack_problem=lambda: None), "127.0.0.1", 0)
    server.start()
    try:
        one, other = bench.token(), bench.token()
        url = f"http://127.0.0.1:{server.port}/intake/events"
        body = {**ALERT, "description": "x" * 20_000}
        answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {one}"})
        assert (answer.status_code, answer.json()["errors"][0]["message"]) == (503, "too many deliveries at once")
        assert int(answer.headers["Retry-After"]) > 0
        for token in (one, other):
            assert httpx.post(url, json=ALERT, headers={"Authorization": f"Bearer {token}"}).status_code == 202
    finally:
        server.stop()


def test_room_is_given_back() -> None:
    room = MemoryLimit(100, 60)
    with room.body("a", 1000), room.body("b", 1000):
        room.take("a", 60)
        for sender, size in (("a", 1), ("b", 41)):
            with pytest.raises(MemoryLimitReached):
                room.take(sender, size)
        room.take("b", 40)
    assert room.held == 100, "what was not read through the body is not its to give back"


@pytest.mark.parametrize(
    ("limits", "files", "most"),
    [
        ((1024, 4096), 1024, MAX_CONNECTIONS),
        ((256, 4096), MAX_CONNECTIONS + RESERVED_FILES, MAX_CONNECTIONS),
        ((256, 512), 512, 512 - RESERVED_FILES),
        ((256, 256), 256, MAX_CONNECTIONS // 50),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), MAX_CONNECTIONS + RESERVED_FILES, MAX_CONNECTIONS),
        ((64, resource.RLIM_INFINITY), MAX_CONNECTIONS + RESERVED_FILES, MAX_CONNECTIONS),
    ],
)
def test_the_number_of_connections_goes_by_the_files_that_may_be_open(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], files: int, most: int
) -> None:
    now = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: now[0])
    monkeypatch.setattr(resource, "setrlimit", lambda _which, wanted: now.__setitem__(0, wanted))
    assert (raise_file_limit(), max_connections(raise_file_limit())) == (files, most)
    told = connections.find_file_shortage()
    assert (told is None) == (most == MAX_CONNECTIONS)


def test_who_hangs_up_in_the_middle_leaves_no_trace_in_the_log(
    bench: Bench, dial: Open, caplog: pytest.LogCaptureFixture
) -> None:
    for sent in (HEAD, BODY % bench.token().encode()):
        dial(sent).close()
    assert httpx.get(f"{bench.client.base_url}/healthz").status_code == 200
    assert [line for line in caplog.records if line.levelno >= logging.WARNING] == []


def test_the_database_away_is_told_to_all_who_wait_for_the_same_question() -> None:
    away = Store.open("postgresql://tocsin@127.0.0.1:1/tocsin")
    server = HttpServer(create_http_app(away, slack_problem=lambda: None), "127.0.0.1", 0)
    server.start()
    try:
        url = f"http://127.0.0.1:{server.port}/intake/events"
        with ThreadPoolExecutor(20) as pool:
            posts = [
                pool.submit(httpx.post, url, json=ALERT, headers={"Authorization": f"Bearer tocsin_{n}"})
                for n in range(20)
            ]
        assert {post.result().status_code for post in posts} == {503}
    finally:
        server.stop()
        away.close()
