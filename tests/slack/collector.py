"""A collector of OpenTelemetry: OTLP over HTTP, on this machine."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.patience import PATIENCE_S


@dataclass(frozen=True)
class Span:
    """A span that has arrived."""

    id: bytes
    parent: bytes
    trace: bytes
    name: str
    kind: int
    attributes: dict[str, Any]
    failed: bool
    links: list[bytes]
    began_ns: int
    ended_ns: int


@dataclass
class Collector:
    """What has arrived so far."""

    endpoint: str = ""
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Takes a request with spans."""
        assert path == "/v1/traces" and headers["content-type"] == "application/x-protobuf"
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        with self.arrived:
            self.headers.append(headers)
            self.bodies.append(body)
            for resource in request.resource_spans:
                self.resources.append(_read(resource.resource.attributes))
                self.spans += [_read_span(span) for scope in resource.scope_spans for span in scope.spans]
            self.arrived.notify_all()

    def wait_for(self, name: str, fits: Callable[[Span], bool] = lambda _span: True) -> Span:
        """The first span of this name that fits."""

        def find() -> Span | None:
            return next((span for span in self.spans if span.name == name and fits(span)), None)

        with self.arrived:
            found = self.arrived.wait_for(find, PATIENCE_S)
            assert found, sorted({span.name for span in self.spans})
            return found

    def list_below(self, root: Span) -> list[Span]:
        """The spans that the block of this one has recorded, at any depth. Children arrive before their parents."""
        with self.arrived:
            below, wanted = [], {root.id}
            while found := [span for span in self.spans if span.parent in wanted]:
                below += found
                wanted = {span.id for span in found}
            return below


def _read_span(span: Any) -> Span:
    return Span(
        span.span_id,
        span.parent_span_id,
        span.trace_id,
        span.name,
        span.kind,
        _read(span.attributes),
        span.status.code == 2,
        [link.span_id for link in span.links],
        span.start_time_unix_nano,
        span.end_time_unix_nano,
    )


def _read(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def running_collector(*, answers_after_s: float = 0.0) -> Iterator[Collector]:
    """Gives a collector, which may take its time to answer."""
    collector = Collector()
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            if answers_after_s:
                closing.wait(answers_after_s)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield collector
        finally:
            closing.set()
            server.shutdown()
            thread.join()
