"""`POST /intake/grafana`: the webhook contact point of Grafana's unified alerting.

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from bot.intake.label_alerts import AlertGroup, LabelAlert, parse_group, read_list
from bot.intake.models import LinkUrl, ParsedAlert, ParseResult, clean_text, shorten

# Grafana raises an alert if it cannot evaluate a rule: under a name of its own, or under the rule's name with a reason.
_NO_DATA, _ERROR = "No data", "Error"
_BY_NAME = {"DatasourceNoData": _NO_DATA, "DatasourceError": _ERROR}
_BY_REASON = {"nodata": _NO_DATA, "error": _ERROR}

MAX_VALUES_LENGTH = 300  # characters


def _folded(value: Any) -> str:
    return value.lower().replace("_", "").replace(" ", "") if isinstance(value, str) else ""


def _values(values: Any) -> str | None:
    """What was measured, by the name of the query."""
    if not isinstance(values, dict):
        return None
    shown = ", ".join(
        f"{shorten(clean_text(name), 40)} = {value:g}"
        for name, value in sorted(values.items())[:20]
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    )
    return shorten(shown, MAX_VALUES_LENGTH) or None


class GrafanaAlert(LabelAlert):
    """One alert of Grafana's."""

    dashboard_url: LinkUrl = Field(None, alias="dashboardURL")
    panel_url: LinkUrl = Field(None, alias="panelURL")
    silence_url: LinkUrl = Field(None, alias="silenceURL")
    values: Annotated[str | None, PlainValidator(_values, json_schema_input_type=dict[str, Any] | None)] = Field(
        None, description="Name of the query to what it measured; shown."
    )
    state: Annotated[str, PlainValidator(_folded, json_schema_input_type=str | None)] = Field(
        "", description="nodata or error: it stands before the title."
    )

    def parsed(self, number: int, group: AlertGroup) -> ParsedAlert:
        """The alert in the common form."""
        problem = (
            _BY_NAME.get(self.labels.get("alertname", ""))
            or _BY_REASON.get(_folded(self.annotations.get("grafana_state_reason")))
            or _BY_REASON.get(self.state)
        )
        return self.build(
            number,
            group,
            title=self.annotations.get("summary") or self.labels.get("rulename"),
            prefix=f"{problem}: " if problem else "",
            links=[
                ("Dashboard", self.dashboard_url),
                ("Panel", self.panel_url),
                ("Runbook", self.runbook),
                ("Silence", self.silence_url),
            ],
            facts=[("Values", self.values)] if self.values else [],
        )


class GrafanaGroup(AlertGroup):
    """A notification of Grafana's."""

    alerts: Annotated[
        list[Any], PlainValidator(read_list, json_schema_input_type=Annotated[list[GrafanaAlert], Field(min_length=1)])
    ]


def parse(payload: Any, received: datetime) -> ParseResult:
    """The alerts of a notification."""
    return parse_group(GrafanaGroup, GrafanaAlert, payload, received, GrafanaAlert.parsed)
