"""Sends traces to a collector of OpenTelemetry, where the environment names one.

OpenTelemetry's SDK is an extra package, and loaded only then. It reads the OTEL_… variables by itself. None of its
instrumentations is used: they would record addresses, values of statements and messages of errors.
"""

from __future__ import annotations

import importlib
import os
import re
import socket
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from bot import __version__, tracing
from bot.settings import Settings, SettingsError
from bot.slack.transport import find_proxy
from bot.tracing import Value

_STOP_S = 1.0  # a stop may take ten seconds in all
_PREFIX = "tocsin."
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class TraceExport:
    """Sends traces from when it is made until `stop`."""

    def __init__(self, settings: Settings, role: str) -> None:
        """Starts to record, if an endpoint is set. Raises SettingsError."""
        self._provider: Any = None
        endpoint = settings.trace_endpoint
        if endpoint is None:
            return
        os.environ.update(settings.opentelemetry)  # also those of .env
        try:
            sdk = importlib.import_module("opentelemetry.sdk.trace")
            export = importlib.import_module("opentelemetry.sdk.trace.export")
            resources = importlib.import_module("opentelemetry.sdk.resources")
            otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ImportError:
            raise SettingsError(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry's packages are not installed:"
                " pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
            ) from None
        own = {
            "service.name": "tocsin",
            "service.version": __version__,
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            "tocsin.role": role,
        }
        resource = resources.Resource(own).merge(resources.OTELResourceDetector().detect())
        # Not the provider of the whole process: libraries that know OpenTelemetry would record what they like.
        self._provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = otlp.OTLPSpanExporter(session=_open_session(endpoint), certificate_file=_find_certificates())
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        recorder = _Recorder(self._provider.get_tracer("tocsin", __version__))
        tracing.set_recorder(recorder)
        self._statements = importlib.import_module("bot.traced_statements")
        self._statements.start(recorder)

    def stop(self) -> None:
        """Sends what has been recorded, within a second."""
        if self._provider is None:
            return
        tracing.set_recorder(None)
        self._statements.stop()
        last = threading.Thread(target=self._provider.shutdown, name="traces-shutdown", daemon=True)
        last.start()
        last.join(_STOP_S)


def _open_session(endpoint: str) -> Any:
    """Connections to the collector: through the bot's proxy, and without what the library finds in files."""
    session = importlib.import_module("requests").Session()
    session.trust_env = False
    proxy = find_proxy(endpoint)
    session.proxies = {"http": proxy, "https": proxy} if proxy else {}
    return session


def _find_certificates() -> str | None:
    """The certificates to trust, as everywhere in the bot, unless a variable of OpenTelemetry names others."""
    own = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
    return None if any(map(os.environ.get, own)) else os.environ.get("SSL_CERT_FILE")


class _Recorder:
    """Records spans with OpenTelemetry. Implements `bot.tracing.Recorder`."""

    def __init__(self, tracer: Any) -> None:
        self._api = importlib.import_module("opentelemetry.trace")
        self._context = importlib.import_module("opentelemetry.context")
        self._tracer = tracer

    def span(
        self,
        name: str,
        kind: str,
        began_ns: int | None,
        parents: tuple[Any, ...],
        links: Iterable[str | None],
        attributes: Mapping[str, Value],
    ) -> _Span:
        parent, *others = parents or (None,)
        linked = [one.get_span_context() for one in others if one is not None]
        linked += [self._read_traceparent(found) for one in links if (found := _TRACEPARENT.fullmatch(one or ""))]
        begun = self._tracer.start_span(
            name,
            context=self._api.set_span_in_context(parent) if parent is not None else None,
            kind=self._api.SpanKind[kind],
            attributes=_prefix(attributes),
            links=[self._api.Link(context) for context in linked],
            start_time=began_ns,
        )
        return _Span(self, begun)

    def get_current(self) -> Any:
        current = self._api.get_current_span()
        return current if current.get_span_context().is_valid else None

    def get_traceparent(self) -> str | None:
        context = self._api.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def _read_traceparent(self, found: re.Match[str]) -> Any:
        trace_id, span_id, flags = (int(part, 16) for part in found.groups())
        return self._api.SpanContext(trace_id, span_id, is_remote=True, trace_flags=self._api.TraceFlags(flags))

    def annotate(self, attributes: Mapping[str, Value]) -> None:
        self._api.get_current_span().set_attributes(_prefix(attributes))

    def trace_statement(self, name: str, text: str) -> AbstractContextManager[Any]:
        """A span of a statement, with OpenTelemetry's own attributes."""
        operation = name.partition(" ")[0]
        attributes = {"db.system.name": "postgresql", "db.operation.name": operation, "db.query.summary": name}
        if text:
            attributes["db.query.text"] = text
        # Nothing happens inside it, so the span around the caller stays the current one.
        begun = self._tracer.start_span(name, kind=self._api.SpanKind.CLIENT, attributes=attributes)
        return _Span(self, begun, current=False)

    def is_recording(self) -> bool:
        """Whether there is a span around the caller that is recorded."""
        return bool(self._api.get_current_span().is_recording())

    def enter(self, begun: Any) -> Any:
        return self._context.attach(self._api.set_span_in_context(begun))

    def leave(self, token: Any) -> None:
        self._context.detach(token)

    def build_error(self, description: str) -> Any:
        return self._api.Status(self._api.StatusCode.ERROR, description)


def _prefix(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {_PREFIX + name: value for name, value in attributes.items()}


class _Span:
    """A span for a `with` block."""

    __slots__ = ("_begun", "_current", "_recorder", "_token")

    def __init__(self, recorder: _Recorder, begun: Any, *, current: bool = True) -> None:
        self._recorder, self._begun, self._current = recorder, begun, current

    def __enter__(self) -> Self:
        self._token = self._recorder.enter(self._begun) if self._current else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._current:
            self._recorder.leave(self._token)
        if error is not None:
            # Not its message, which may repeat what somebody typed.
            self.fail(str(getattr(error, "pgcode", None) or type(error).__name__))
        self._begun.end()

    def set(self, **attributes: Value) -> None:
        """Adds attributes."""
        self._begun.set_attributes(_prefix(attributes))

    def fail(self, reason: str) -> None:
        """Marks what the span is of as failed."""
        self._begun.set_attribute("error.type", reason)
        self._begun.set_status(self._recorder.build_error(reason))
