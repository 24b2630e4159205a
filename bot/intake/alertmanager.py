"""`POST /intake/alertmanager`: the webhook of Prometheus' Alertmanager, version 4.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from pydantic import Field, PlainValidator
from pydantic.json_schema import SkipJsonSchema

from bot.intake.label_alerts import AlertGroup, LabelAlert, parse_group, read_list
from bot.intake.models import MAX_LINK_LENGTH, ParsedAlert, ParseResult, as_mapping, as_url

log = structlog.get_logger(__name__)


class AlertmanagerAlert(LabelAlert):
    """One alert of Alertmanager's."""

    # For the link to a silence, whose labels must equal Alertmanager's to the last space.
    labels_as_sent: Annotated[dict[str, Any], PlainValidator(as_mapping), SkipJsonSchema()] = Field({}, alias="labels")

    def parsed(self, number: int, group: AlertmanagerGroup) -> ParsedAlert:
        """The alert in the common form."""
        return self.build(
            number,
            group,
            title=self.annotations.get("summary"),
            links=[("Runbook", self.runbook), ("Silence", _silence_page(group.external_url, self.labels_as_sent))],
        )


class AlertmanagerGroup(AlertGroup):
    """A notification of Alertmanager's."""

    external_url: Annotated[
        str | None,
        PlainValidator(lambda url: url if isinstance(url, str) else None, json_schema_input_type=str | None),
    ] = Field(None, alias="externalURL", description="Alertmanager's own address, for links to it.")
    truncated: Annotated[
        int, PlainValidator(lambda count: count if isinstance(count, int) else 0, json_schema_input_type=int | None)
    ] = Field(0, alias="truncatedAlerts", description="How many alerts were left out because of max_alerts.")
    alerts: Annotated[
        list[Any],
        PlainValidator(read_list, json_schema_input_type=Annotated[list[AlertmanagerAlert], Field(min_length=1)]),
    ]


def parse(payload: Any, received: datetime) -> ParseResult:
    """The alerts of a notification."""
    return parse_group(AlertmanagerGroup, AlertmanagerAlert, payload, received, AlertmanagerAlert.parsed)


# A classic label name, which needs no quotes; since version 0.27 names may hold anything.
_IDENTIFIER = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def _silence_page(alertmanager: str | None, labels: dict[str, Any]) -> str | None:
    """Alertmanager's page that makes a silence for exactly this alert; None if no link can express it."""
    if alertmanager is None or not labels or not all(isinstance(value, str) for value in labels.values()):
        return None
    matchers = (f"{_label_name(name)}={_quoted(value)}" for name, value in sorted(labels.items()))
    try:
        page = f"{alertmanager.rstrip('/')}/#/silences/new?filter={quote('{' + ','.join(matchers) + '}', safe='')}"
    except UnicodeEncodeError:  # half a surrogate pair
        return None
    return as_url(page, MAX_LINK_LENGTH)


def _label_name(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    # The three escapes that the parser of every version of Alertmanager knows; it takes all other characters literally.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
