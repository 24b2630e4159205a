"""The variables of OpenTelemetry (OTEL_…): those that the bot decides by. Its SDK reads them all by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from bot.http_urls import parse_http_url

# By name, what its value should look like.
_ENDPOINTS = {
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector.example:4318/v1/traces",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318",
}
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_EXPORTERS = ("otlp", "none")


def find_trace_endpoint(variables: Mapping[str, str]) -> str | None:
    """Where traces go; None where none are sent."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if variables.get("OTEL_TRACES_EXPORTER", "otlp").strip() == "none":
        return None
    return next((variables[name] for name in _ENDPOINTS if variables.get(name)), None)


def find_mistakes(variables: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable with a value that the bot cannot use, where traces are on."""
    exporter = variables.get("OTEL_TRACES_EXPORTER", "otlp").strip()
    if exporter not in _EXPORTERS:
        yield "OTEL_TRACES_EXPORTER should be otlp or none"
    if find_trace_endpoint(variables) is None:
        return
    for name, example in _ENDPOINTS.items():
        if variables.get(name) and parse_http_url(variables[name]) is None:
            yield f"{name} should look like {example}"
    for name in _PROTOCOLS:
        if variables.get(name, "http/protobuf") != "http/protobuf":
            yield f"{name} should be http/protobuf, which is all that the bot sends"


def list_secrets(variables: Mapping[str, str]) -> list[str]:
    """The values of headers, which may be keys of the collector."""
    headers = [header.partition("=")[2].strip() for name in _HEADERS for header in variables.get(name, "").split(",")]
    return [value for header in headers if header for value in {header, unquote(header)}]
