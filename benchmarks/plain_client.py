"""A Slack that checks nothing: it sends one command again and again over Socket Mode, and counts the acknowledgements.

It is a process of its own, so that what a sandbox does with each answer is no part of the figure. Calls of the Web API
go on to a sandbox.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection as Pipe
from time import perf_counter
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

CONNECTED_WITHIN_S = 60.0


class PlainClient:
    """The process, seen from the one that measures."""

    def __init__(self, pipe: Pipe, api_url: str) -> None:
        self._pipe = pipe
        self.api_url = api_url  # for the app

    def wait_until_connected(self, sockets: int = 1) -> None:
        """Waits until the app has opened so many sockets. Raises TimeoutError."""
        self._ask(sockets)

    def measure_rate(self, payload: dict[str, Any], count: int, in_flight: int) -> float:
        """Sends the command `count` times, so many at a time. Returns the acknowledgements a second."""
        return self._ask((json.dumps(payload), count, in_flight))

    def _ask(self, what: tuple[str, int, int] | int) -> float:
        self._pipe.send(what)
        if not self._pipe.poll(CONNECTED_WITHIN_S):
            raise TimeoutError("the client does not answer")
        return float(self._pipe.recv())


@contextmanager
def start(api_url: str) -> Iterator[PlainClient]:
    """A client in front of a sandbox, until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(theirs, api_url), daemon=True)
    process.start()
    try:
        yield PlainClient(ours, ours.recv())
    finally:
        process.terminate()
        process.join()


def _run(pipe: Pipe, api_url: str) -> None:
    asyncio.run(_Server(pipe).run(api_url))


class _Server:
    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._sockets: list[ServerConnection] = []
        self._connected = asyncio.Condition()
        self._done = asyncio.Event()
        self._to_send: Iterator[str] = iter(())
        self._left = 0

    async def run(self, api_url: str) -> None:
        """Serves until it is killed."""
        async with serve(self._serve_socket, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            self._pipe.send(_serve_api(api_url, f"ws://127.0.0.1:{port}/?ticket=plain"))
            while True:
                asked = await asyncio.to_thread(self._pipe.recv)
                if isinstance(asked, int):
                    await self._wait_until_connected(asked)
                self._pipe.send(0.0 if isinstance(asked, int) else await self._measure(*asked))

    async def _wait_until_connected(self, sockets: int) -> None:
        async with self._connected:
            await self._connected.wait_for(lambda: len(self._sockets) >= sockets)

    async def _serve_socket(self, socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A"}}))
        self._sockets.append(socket)
        async with self._connected:
            self._connected.notify_all()
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()  # whatever it is, it acknowledges
                self._left -= 1
                if self._left == 0:
                    self._done.set()
                if (envelope := next(self._to_send, None)) is not None:
                    await socket.send(envelope)
        self._sockets.remove(socket)

    async def _measure(self, payload: str, count: int, in_flight: int) -> float:
        self._to_send = (
            f'{{"type":"slash_commands","envelope_id":"{number}","accepts_response_payload":true,"payload":{payload}}}'
            for number in range(count)
        )
        self._left = count
        self._done.clear()
        began = perf_counter()
        for number in range(in_flight):
            await self._sockets[number % len(self._sockets)].send(next(self._to_send))
        await self._done.wait()
        return count / (perf_counter() - began)


def _serve_api(api_url: str, socket_url: str) -> str:
    """Serves the Web API on a thread: its own sockets, and everything else as the sandbox has it. Returns its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            method = self.path.rsplit("/", 1)[-1]
            if method == "apps.connections.open":
                answer = json.dumps({"ok": True, "url": socket_url}).encode()
            else:
                headers = {key: value for key, value in self.headers.items() if key != "Host"}
                request = urllib.request.Request(api_url.rstrip("/") + "/" + method, body, headers)
                with urllib.request.urlopen(request, timeout=30) as found:
                    answer = found.read()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/api/"
