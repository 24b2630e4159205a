"""What other systems really send: their documented or recorded deliveries, and what becomes of them."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.intake.tokens import Source
from storage.models import Incident, IntakeToken, Team
from storage.values import Status
from tests.intake.conftest import START, Bench

SAMPLES = Path(__file__).parent / "samples"
GRAFANA = "/intake/grafana"
ALERTMANAGER = "/intake/alertmanager"


def sample(name: str) -> list[Any]:
    """The deliveries of a sample, which says where it is from."""
    recorded = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    assert recorded["origin"]
    deliveries: list[Any] = recorded["deliveries"]
    return deliveries


def changed(payload: Any, path: str, value: Any) -> Any:
    """A copy with one part replaced."""
    result = copy.deepcopy(payload)
    part = result
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        part = part[step]
    part[last] = value
    return result


@pytest.fixture
def am(bench: Bench) -> str:
    return bench.token(source=Source.ALERTMANAGER)


@pytest.fixture
def graf(bench: Bench) -> str:
    return bench.token(source=Source.GRAFANA)


# --- Alertmanager ------------------------------------------------------------------------------------------


def test_alertmanagers_deliveries_open_and_close_one_incident_for_each_alert(bench: Bench, am: str) -> None:
    bench.later(days=1)
    for delivery in sample("alertmanager"):
        answer = bench.post(am, delivery, path=ALERTMANAGER)
        assert answer.status_code == 202
        assert answer.json()["errors"] == []
    assert bench.incidents() == [
        (1, "DiskFull (device=/dev/sda1, instance=db1:9100)", Status.CLOSED),
        (2, "DiskFull (instance=db2:9100)", Status.CRITICAL),
    ]
    with bench.store.read() as connection:
        row = connection.execute(select(Incident).where(Incident.identifier == 1)).one()
        team = connection.scalar(select(Team.slug).where(Team.id == row.team_id))
    first, last = sample("alertmanager")[0]["alerts"][0], sample("alertmanager")[-1]["alerts"][0]
    assert (row.environment, row.source, team) == ("production", "alertmanager", "payments")
    assert row.url == "http://prometheus.test/graph?g0.expr=up"
    assert row.date_started == datetime.fromisoformat(first["startsAt"])
    assert row.date_closed == datetime.fromisoformat(last["endsAt"])
    links = dict(bench.details()["links"])
    assert links["Runbook"] == "https://runbooks.test/disk"
    assert links["Silence"].startswith("http://alerts.example:9093/#/silences/new?filter=%7Balertname%3D%22DiskFull%22")
    for _ in range(2):
        bench.post(am, sample("alertmanager")[-1], path=ALERTMANAGER)
    assert [status for *_, status in bench.incidents()] == [Status.CLOSED, Status.CRITICAL], "repeated"


@pytest.mark.parametrize(
    ("path", "value", "title", "status"),
    [
        ("annotations.summary", " Disk of\ndb1 ", "Disk of db1", Status.CRITICAL),
        ("labels.severity", "page", None, Status.CRITICAL),
        ("labels.severity", "WARNING", None, Status.WARNING),
        ("labels.severity", "info", None, Status.OPEN),
        ("labels.severity", "", None, Status.OPEN),
        ("labels.team", "nobody knows it", None, Status.CRITICAL),
        ("labels.project", "catalogue", None, Status.CRITICAL),
        ("labels", {}, "Alert", Status.OPEN),
        ("labels", {"alertname": "Up <!here>"}, "Up <!here>", Status.OPEN),
        ("startsAt", "0001-01-01T00:00:00Z", None, Status.CRITICAL),
        ("generatorURL", "javascript:alert(1)", None, Status.CRITICAL),
        ("generatorURL", 7, None, Status.CRITICAL),
        ("annotations", None, None, Status.CRITICAL),
        ("annotations", [], None, Status.CRITICAL),
        ("annotations.summary", {}, None, Status.CRITICAL),
        ("annotations.summary", 7, "7", Status.CRITICAL),
        ("labels", [], "Alert", Status.OPEN),
        ("labels", None, "Alert", Status.OPEN),
        ("labels.instance", 7, "DiskFull (instance=7)", Status.CRITICAL),
        ("startsAt", "soon", None, Status.CRITICAL),
        ("startsAt", "2026-11-23T09:00:00", None, Status.CRITICAL),
        ("startsAt", "2999-11-23T09:00:00Z", None, Status.CRITICAL),
        ("startsAt", 7, None, Status.CRITICAL),
        ("fingerprint", 7, None, Status.CRITICAL),
        ("fingerprint", "f" * 400, None, Status.CRITICAL),
        ("fingerprint", "\0", None, Status.CRITICAL),
    ],
)
def test_labels_and_annotations_are_read_as_they_come(
    bench: Bench, am: str, path: str, value: Any, title: str | None, status: Status
) -> None:
    bench.later(days=1)
    delivery = changed(sample("alertmanager")[0], f"alerts.0.{path}", value)
    assert bench.post(am, delivery, path=ALERTMANAGER).status_code == 202
    default = "DiskFull (device=/dev/sda1, instance=db1:9100)"
    assert bench.incidents() == [(1, title or default, status)]


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("status", "pending", "status"),
        ("status", None, "status"),
        ("status", "Firing!", "status"),
    ],
)
def test_an_alert_that_cannot_be_understood_is_named_and_the_others_taken(
    bench: Bench, am: str, path: str, value: Any, field: str
) -> None:
    bench.later(days=1)
    delivery = changed(sample("alertmanager")[1], f"alerts.1.{path}", value)
    answer = bench.post(am, delivery, path=ALERTMANAGER)
    assert answer.status_code == 202
    assert answer.json()["accepted"] == [1]
    assert [(e["item"], e["field"]) for e in answer.json()["errors"]] == [(1, field)]


def test_an_old_alertmanager_without_fingerprints_is_understood(bench: Bench, am: str) -> None:
    bench.later(days=1)
    for delivery in sample("alertmanager"):
        for alert in delivery["alerts"]:
            del alert["fingerprint"]
        assert bench.post(am, delivery, path=ALERTMANAGER).json()["errors"] == []
    assert bench.statuses() == [Status.CLOSED, Status.CRITICAL]


def test_the_same_alert_of_two_projects_is_two(bench: Bench) -> None:
    bench.later(days=1)
    delivery = sample("alertmanager")[0]
    for project in ("checkout", "catalogue"):
        bench.post(bench.token(project, Source.ALERTMANAGER), delivery, path=ALERTMANAGER)
    assert len(bench.incidents()) == 2


def test_a_label_names_the_project_where_the_token_does_not(bench: Bench) -> None:
    bench.later(days=1)
    token = bench.token(None, Source.ALERTMANAGER)
    delivery = sample("alertmanager")[0]
    assert bench.post(token, delivery, path=ALERTMANAGER).json()["errors"][0]["field"] == "project"
    named = changed(delivery, "alerts.0.labels.project", "catalogue")
    assert bench.post(token, named, path=ALERTMANAGER).json()["accepted"] == [1]


@pytest.mark.parametrize("payload", [[], 7, {}, {"alerts": {}}, {"alerts": []}, {"alerts": None}])
def test_what_is_no_notification_is_refused(bench: Bench, am: str, payload: Any) -> None:
    answer = bench.post(am, payload, path=ALERTMANAGER)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in ("body", "alerts")


def test_over_rate_is_503_for_alertmanager_which_retries_nothing_else(bench: Bench, am: str) -> None:
    bench.later(days=1)
    delivery = sample("alertmanager")[0]
    many = {**delivery, "alerts": delivery["alerts"] * 400}
    answers = [bench.post(am, many, path=ALERTMANAGER) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 503]
    assert int(answers[1].headers["Retry-After"]) > 0


# --- Grafana -----------------------------------------------------------------------------------------------


def test_grafanas_delivery_opens_an_incident_for_each_alert(bench: Bench, graf: str) -> None:
    (delivery,) = sample("grafana")
    answer = bench.post(graf, delivery, path=GRAFANA)
    assert answer.json() == {"accepted": [1, 2], "errors": []}
    assert bench.incidents() == [
        (1, "This alert was triggered for zone us-1", Status.OPEN),
        (2, "This alert was triggered for zone eu-1", Status.OPEN),
    ]
    details = bench.details()
    assert [name for name, _ in details["links"]] == ["Runbook", "Silence"]
    assert details["facts"] == [
        ["Description", "The system has high memory usage"],
        ["Values", "B = 44.2394, C = 1"],
    ]
    over = changed(delivery, "alerts.0.status", "resolved")
    over = changed(over, "alerts.0.endsAt", "2021-10-12T10:00:00+02:00")
    bench.post(graf, over, path=GRAFANA)
    assert bench.statuses() == [Status.CLOSED, Status.OPEN]


@pytest.mark.parametrize(
    ("path", "value", "title"),
    [
        ("alerts.0.labels.alertname", "DatasourceNoData", "No data: This alert was triggered for zone us-1"),
        ("alerts.0.labels.alertname", "DatasourceError", "Error: This alert was triggered for zone us-1"),
        ("alerts.0.annotations.grafana_state_reason", "NoData", "No data: This alert was triggered for zone us-1"),
        ("alerts.0.annotations.grafana_state_reason", "Updated", "This alert was triggered for zone us-1"),
        ("alerts.0.state", "Error", "Error: This alert was triggered for zone us-1"),
        ("alerts.0.annotations", {}, "High memory usage (zone=us-1)"),
    ],
)
def test_no_data_and_errors_are_told_in_the_title(bench: Bench, graf: str, path: str, value: Any, title: str) -> None:
    (delivery,) = sample("grafana")
    bench.post(graf, changed(delivery, path, value), path=GRAFANA)
    assert bench.incidents()[0][1] == title


@pytest.mark.parametrize("values", [None, [], {"A": "x"}, {"A": True}, {"A": 10**400}, {}])
def test_odd_values_do_no_harm(bench: Bench, graf: str, values: Any) -> None:
    (delivery,) = sample("grafana")
    assert bench.post(graf, changed(delivery, "alerts.0.values", values), path=GRAFANA).json()["accepted"] == [
        1,
        2,
    ]


# --- Sentry ------------------------------------------------------------------------------------------------


def metric(action: str, detected: str, **more: Any) -> Any:
    """A metric alert as documented, at another moment."""
    (delivery,) = sample("sentry-metric-alert")
    delivery = changed(changed(delivery, "action", action), "data.metric_alert.date_detected", detected)
    for name, value in more.items():
        delivery["data"]["metric_alert"][name] = value
    return delivery


def test_a_metric_alert_opens_changes_and_closes_its_incident(bench: Bench) -> None:
    path = bench.sentry()
    first = metric("warning", "2026-11-23T08:00:00Z")
    first["data"]["metric_alert"]["alert_rule"]["environment"] = "production"
    for delivery, status in (
        (first, Status.WARNING),
        (metric("critical", "2026-11-23T08:00:00Z"), Status.CRITICAL),
        (metric("resolved", "2026-11-23T08:00:00Z", date_closed="2026-11-23T08:30:00Z"), Status.CLOSED),
    ):
        answer = bench.post_signed(path, delivery, "metric_alert")
        assert (answer.status_code, answer.json()) == (202, {"accepted": [1], "errors": []})
        assert bench.incidents() == [(1, "Too many errors", status)]
    with bench.store.read() as connection:
        row = connection.execute(select(Incident)).one()
    assert (row.url, row.environment) == ("https://sentry.io/organizations/baz/alerts/1/", "production")
    facts = dict(bench.details()["facts"])
    assert (facts["Rule"], facts["Query"], facts["Measures"]) == ("Too many errors", "level:error", "count()")
    again = metric("critical", "2026-11-23T08:33:00Z", id="5")
    bench.post_signed(path, again, "metric_alert")
    assert bench.statuses() == [Status.CRITICAL], "the rule fires again within the quiet time"


def test_the_documented_end_of_a_metric_alert_alone_opens_nothing(bench: Bench) -> None:
    (delivery,) = sample("sentry-metric-alert")
    answer = bench.post_signed(bench.sentry(), delivery, "metric_alert")
    assert (answer.status_code, bench.incidents()) == (202, [])


def test_an_issue_alert_opens_one_incident_for_its_issue(bench: Bench) -> None:
    path = bench.sentry()
    (delivery,) = sample("sentry-issue-alert")
    for _ in range(2):
        answer = bench.post_signed(path, delivery, "event_alert")
        assert answer.json() == {"accepted": [1], "errors": []}
    assert bench.incidents() == [(1, "ReferenceError: heck is not defined", Status.WARNING)]
    assert dict(bench.details()["facts"])["Rule"] == "Very Important Alert Rule!"
    done = {"action": "resolved", "data": {"issue": {"id": "1117540176", "title": "ReferenceError"}}}
    assert bench.post_signed(path, done, "issue").json()["accepted"] == [1]
    assert bench.statuses() == [Status.CLOSED]


def test_sentrys_project_counts_where_the_token_names_none(bench: Bench) -> None:
    path = bench.sentry(project=None)
    delivery = metric("critical", "2026-11-23T08:00:00Z")
    assert bench.post_signed(path, delivery, "metric_alert").json()["errors"][0]["field"] == "project"
    named = metric("critical", "2026-11-23T08:00:00Z", projects=["catalogue"])
    assert bench.post_signed(path, named, "metric_alert").json()["accepted"] == [1]
    (issue,) = sample("sentry-issue-alert")
    issue["data"]["event"]["url"] = "https://sentry.io/api/0/projects/acme/checkout/events/e4/"
    assert bench.post_signed(path, issue, "event_alert").json()["accepted"] == [2]


@pytest.mark.parametrize(
    ("resource", "action"), [("installation", "created"), ("issue", "created"), ("comment", "x"), ("error", "y")]
)
def test_other_webhooks_of_sentrys_are_received_and_left_alone(bench: Bench, resource: str, action: str) -> None:
    answer = bench.post_signed(bench.sentry(), {"action": action, "data": {}}, resource)
    assert (answer.status_code, answer.json()) == (202, {"accepted": [], "errors": []})


def test_a_wrong_signature_or_path_is_refused(bench: Bench) -> None:
    path = bench.sentry()
    (delivery,) = sample("sentry-issue-alert")
    for answer in (
        bench.post_signed(path, delivery, "event_alert", secret="another"),
        bench.client.post(path, json=delivery, headers={"Sentry-Hook-Resource": "event_alert"}),
        bench.client.post(
            path,
            json=delivery,
            headers={b"Sentry-Hook-Resource": b"event_alert", b"Sentry-Hook-Signature": b"\xe9"},
        ),
        bench.post_signed("/intake/sentry/999999", delivery, "event_alert"),
        bench.post_signed("/intake/sentry/x", delivery, "event_alert"),
        bench.post_signed("/intake/sentry/9999999999999999999999", delivery, "event_alert"),
    ):
        assert answer.status_code == 401
    with bench.store.write() as tx:
        tx.execute(update(IntakeToken).values(date_revoked=START))
    assert bench.post_signed(path, delivery, "event_alert").status_code == 401
    assert bench.incidents() == []


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("action", "acknowledged", "action"),
        ("action", None, "action"),
        ("data", [], "data"),
        ("data.metric_alert", None, "data.metric_alert"),
        ("data.metric_alert.alert_rule", 7, "data.metric_alert.alert_rule"),
        ("data.metric_alert.alert_rule.id", None, "data.metric_alert.alert_rule.id"),
        ("data.metric_alert.alert_rule.id", "\0", "data.metric_alert.alert_rule.id"),
    ],
)
def test_a_metric_alert_that_cannot_be_understood_is_named(bench: Bench, path: str, value: Any, field: str) -> None:
    delivery = changed(metric("critical", "2026-11-23T08:00:00Z"), path, value)
    answer = bench.post_signed(bench.sentry(), delivery, "metric_alert")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("payload", "resource", "errors"),
    [
        ({"action": "critical"}, "metric_alert", [("data", "is missing")]),
        (
            {"action": "critical", "data": {"metric_alert": 7}},
            "metric_alert",
            [("data.metric_alert", "should be an object")],
        ),
        (
            {"action": "x", "data": None},
            "event_alert",
            [("action", "should be triggered"), ("data", "should be an object")],
        ),
        ({"action": "resolved", "data": {"issue": {"id": ""}}}, "issue", [("data.issue.id", "is empty")]),
        ([], "issue", [("body", "should be an object")]),
    ],
)
def test_each_mistake_in_a_webhook_of_sentrys_is_named_once(
    bench: Bench, payload: Any, resource: str, errors: list[tuple[str, str]]
) -> None:
    answer = bench.post_signed(bench.sentry(), payload, resource)
    assert answer.status_code == 422
    assert [(one["field"], one["message"]) for one in answer.json()["errors"]] == errors


def test_a_secret_of_another_key_is_told(bench: Bench) -> None:
    path = bench.sentry()
    with bench.store.write() as tx:
        tx.execute(update(IntakeToken).values(secret_encrypted="gAAAAABm"))
    answer = bench.post_signed(path, sample("sentry-issue-alert")[0], "event_alert")
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["field"] == "TOCSIN_SECRET_KEY"
