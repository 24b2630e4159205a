"""How the intake describes itself at `/intake/docs` and `/intake/openapi.json`.

The bodies are read by the parsers, leniently and item by item; what stands here is for people and for generators.
"""

from __future__ import annotations

from typing import Any

from fastapi import Depends
from fastapi.security import HTTPBearer

from bot.intake.models import MAX_URL_LENGTH

_TOKEN = HTTPBearer(scheme_name="token", description="From: python run_bot.py token create", auto_error=False)
_TEXT = {"type": "string"}
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_TIME = {"type": ["string", "null"], "format": "date-time"}
_URL = {"type": ["string", "null"], "format": "uri", "maxLength": MAX_URL_LENGTH}
_LABELS = {"type": "object", "additionalProperties": _TEXT}

_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["dedup_key"],
    "properties": {
        "dedup_key": {
            "type": "string",
            "minLength": 1,
            "description": "The same for every word about the same alert. Keys are of one project.",
        },
        "title": {
            "type": ["string", "null"],
            "description": "Without it: the key. Longer than 255 characters is shortened.",
        },
        "status": {"type": ["string", "null"], "enum": ["firing", "resolved", None], "default": "firing"},
        "severity": {"type": ["string", "null"], "enum": ["warning", "critical", None]},
        "environment": _OPTIONAL_TEXT,
        "project": {
            "type": ["string", "null"],
            "description": "Slug. Needed where the token is for the whole organization, save for an end.",
        },
        "team": {"type": ["string", "null"], "description": "Slug of the team that owns it."},
        "url": {**_URL, "description": "Where the alert can be looked at; http or https."},
        "description": _OPTIONAL_TEXT,
        "links": {**_LABELS, "description": "Name to URL; shown."},
        "labels": {**_LABELS, "description": "Name to text; shown."},
        "started_at": {**_TIME, "description": "With its zone. Without it, or where it cannot be: now."},
        "ended_at": {**_TIME, "description": "With its zone. Without it, or where it cannot be: now."},
    },
    "example": {
        "dedup_key": "db1-disk",
        "title": "Disk of db1 is nearly full",
        "status": "firing",
        "severity": "warning",
        "environment": "production",
        "url": "https://monitor.example/db1",
    },
}

_ALERT: dict[str, Any] = {
    "type": "object",
    "required": ["status", "labels"],
    "properties": {
        "status": {"type": "string", "enum": ["firing", "resolved"]},
        "labels": _LABELS,
        "annotations": _LABELS,
        "startsAt": {"type": "string", "format": "date-time"},
        "endsAt": {"type": "string", "format": "date-time"},
        "generatorURL": _TEXT,
        "fingerprint": _TEXT,
    },
}

_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["accepted", "errors"],
    "properties": {
        "accepted": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "The numbers of the incidents that the items concern.",
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["item", "field", "message"],
                "properties": {
                    "item": {"type": ["integer", "null"], "description": "From 0; null: the whole delivery."},
                    "field": _TEXT,
                    "message": _TEXT,
                },
            },
        },
    },
}


def _group(**more: Any) -> dict[str, Any]:
    alert = {**_ALERT, "properties": {**_ALERT["properties"], **more}}
    return {
        "type": "object",
        "required": ["alerts"],
        "properties": {
            "version": _TEXT,
            "status": _TEXT,
            "externalURL": _TEXT,
            "truncatedAlerts": {"type": "integer"},
            "commonLabels": _LABELS,
            "alerts": {"type": "array", "minItems": 1, "items": alert},
        },
    }


_REFUSALS = {
    400: "Not JSON.",
    401: "No good token or signature.",
    403: "Incidents are switched off for the organization.",
    413: "Too large.",
    415: "Compressed.",
    422: "Nothing in it is good.",
    429: "Too many alerts with this token; Retry-After says when. (503 for Alertmanager.)",
    503: "The database is away; Retry-After says when.",
}


_SIGNED = [
    {
        "name": "Sentry-Hook-Resource",
        "in": "header",
        "required": True,
        "schema": _TEXT,
        "description": "What it is about: metric_alert, event_alert or issue; anything else is left alone.",
    },
    {
        "name": "Sentry-Hook-Signature",
        "in": "header",
        "required": True,
        "schema": _TEXT,
        "description": "HMAC-SHA256 of the body with the integration's client secret, in hex.",
    },
]


def _route(summary: str, description: str, schema: dict[str, Any], *, signed: bool = False) -> dict[str, Any]:
    content = {"application/json": {"schema": _ANSWER}}
    answers = {202: "Taken; `errors` names the items that were not."} | _REFUSALS
    return {
        "status_code": 202,
        "tags": ["intake"],
        "summary": summary,
        "description": description,
        "responses": {status: {"description": text, "content": content} for status, text in answers.items()},
        # The route looks at the header itself; this tells the page that there is one.
        "dependencies": [] if signed else [Depends(_TOKEN)],
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            **({"parameters": _SIGNED} if signed else {}),
        },
    }


EVENTS = _route(
    "Alerts in this project's own format",
    "One object, or a list of them.",
    {"oneOf": [_EVENT, {"type": "array", "minItems": 1, "items": _EVENT}]},
)
ALERTMANAGER = _route(
    "Prometheus Alertmanager",
    "The webhook of Alertmanager, version 4. One incident for each alert while it fires.",
    _group(),
)
GRAFANA = _route(
    "Grafana",
    "The webhook contact point of Grafana's unified alerting.",
    _group(dashboardURL=_TEXT, panelURL=_TEXT, silenceURL=_TEXT, values={"type": ["object", "null"]}),
)
SENTRY = _route(
    "Sentry",
    "The webhook of Sentry's integration platform: metric alerts and issue alerts, with Sentry-Hook-Signature.",
    {
        "type": "object",
        "required": ["action", "data"],
        "properties": {"action": _TEXT, "data": {"type": "object"}},
    },
    signed=True,
)
