"""`POST /intake/grafana`: the webhook contact point of Grafana's unified alerting.

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bot.intake.label_alerts import LabelledAlert, parse_group
from bot.intake.models import Draft, Parsed, as_url, clean, shorten

# What Grafana calls the alerts that it raises itself when a rule cannot be evaluated, and why it raised one
# under the rule's own name.
_NO_DATA, _ERROR = "No data", "Error"
_BY_NAME = {"DatasourceNoData": _NO_DATA, "DatasourceError": _ERROR}
_BY_REASON = {"nodata": _NO_DATA, "error": _ERROR}

_STATUSES = ("firing", "resolved")
MAX_VALUES_LENGTH = 300  # characters


def parse(payload: Any, now: datetime) -> Parsed:
    """The alerts of a notification."""
    return parse_group(payload, now, _draft)


def _draft(alert: LabelledAlert) -> Draft | None:
    status = alert.fields.choice("status", _STATUSES, required=True)
    state = _folded(alert.data.get("state"))
    why = (
        _BY_NAME.get(alert.labels.get("alertname", ""))
        or _BY_REASON.get(_folded(alert.annotations.get("grafana_state_reason")))
        or _BY_REASON.get(state)
    )
    title = alert.summary() or alert.labels.get("rulename")
    prefix = f"{why}: " if why else ""
    values = _values(alert.data)
    return alert.draft(
        firing=status == "firing",
        title=prefix + title if title else None,
        name=prefix + alert.name,
        url=as_url(alert.data.get("generatorURL")),
        links=alert.links(
            [
                ("Dashboard", alert.data.get("dashboardURL")),
                ("Panel", alert.data.get("panelURL")),
                ("Runbook", alert.annotations.get("runbook_url") or alert.annotations.get("runbook")),
                ("Silence", alert.data.get("silenceURL")),
            ]
        ),
        facts=alert.facts(*([("Values", values)] if values else [])),
    )


def _folded(value: Any) -> str:
    return value.lower().replace("_", "").replace(" ", "") if isinstance(value, str) else ""


def _values(data: dict[str, Any]) -> str | None:
    """What was measured, by the name of the query."""
    values = data.get("values")
    if not isinstance(values, dict):
        return None
    shown = ", ".join(
        f"{shorten(clean(name), 40)} = {value:g}"
        for name, value in sorted(values.items())[:20]
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    )
    return shorten(shown, MAX_VALUES_LENGTH) or None
