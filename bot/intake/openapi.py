"""The description at `/intake/docs` and `/intake/openapi.json`, generated from the models that read the bodies."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field, TypeAdapter

from bot.intake.alertmanager import AlertmanagerGroup
from bot.intake.events import Event
from bot.intake.grafana import GrafanaGroup
from bot.intake.models import ItemError
from bot.intake.sentry import IssueAlertWebhook, IssueWebhook, MetricAlertWebhook

_TOKEN = HTTPBearer(scheme_name="token", description="From: python3 run_bot.py token create", auto_error=False)

_EXAMPLE = {
    "dedup_key": "db1-disk",
    "title": "Disk of db1 is nearly full",
    "status": "firing",
    "severity": "warning",
    "environment": "production",
    "url": "https://monitor.example/db1",
}

_REFUSALS = {
    400: "Not JSON.",
    401: "No valid token or signature.",
    403: "Incidents are switched off for the organization.",
    413: "Too large.",
    415: "Compressed.",
    422: "No valid item.",
    429: "Too many alerts with this token; Retry-After says when. (503 for Alertmanager.)",
    503: "The database is away or takes too long; Retry-After says when.",
}

_SIGNED = [
    {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": description}
    for name, description in (
        ("Sentry-Hook-Resource", "metric_alert, event_alert or issue; any other is ignored."),
        ("Sentry-Hook-Signature", "HMAC-SHA256 of the body with the integration's client secret, in hex."),
    )
]


class Answer(BaseModel):
    """What the intake answers."""

    accepted: list[int] = Field(description="The numbers of the incidents that the items concern.")
    errors: list[ItemError] = Field(description="What is wrong with items, from 0; null: with the whole delivery.")


def _schema(body: Any) -> dict[str, Any]:
    """The JSON schema of a body, in one piece: its place in the description has no definitions to refer to."""
    schema = TypeAdapter(body).json_schema()
    definitions = schema.pop("$defs", {})

    def inline(part: Any) -> Any:
        if isinstance(part, list):
            return [inline(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            part = definitions[part["$ref"].rpartition("/")[2]] | {k: v for k, v in part.items() if k != "$ref"}
        return {name: inline(one) for name, one in part.items()}

    inlined: dict[str, Any] = inline(schema)
    return inlined


def _route(summary: str, description: str, body: Any, *, signed: bool = False, **more: Any) -> dict[str, Any]:
    answers = {202: "Accepted; `errors` names the items that were not."} | _REFUSALS
    return {
        "status_code": 202,
        "tags": ["intake"],
        "summary": summary,
        "description": description,
        "responses": {status: {"description": text, "model": Answer} for status, text in answers.items()},
        # The route looks at the header itself; this tells the page that there is one.
        "dependencies": [] if signed else [Depends(_TOKEN)],
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": _schema(body), **more}}},
            **({"parameters": _SIGNED} if signed else {}),
        },
    }


EVENTS = _route(
    "Alerts in this project's own format",
    "One object, or a list of them.",
    Event | Annotated[list[Event], Field(min_length=1)],
    example=_EXAMPLE,
)
ALERTMANAGER = _route(
    "Prometheus Alertmanager",
    "The webhook of Alertmanager, version 4. One incident for each alert while it fires.",
    AlertmanagerGroup,
)
GRAFANA = _route("Grafana", "The webhook contact point of Grafana's unified alerting.", GrafanaGroup)
SENTRY = _route(
    "Sentry",
    "The webhook of Sentry's integration platform: metric alerts and issue alerts, with Sentry-Hook-Signature.",
    MetricAlertWebhook | IssueAlertWebhook | IssueWebhook,
    signed=True,
)
