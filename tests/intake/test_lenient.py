"""What is odd in an alert never loses it, nor its end: alerting systems do not send again what was refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.intake.models import MAX_KEY_LENGTH, as_key, clean_text
from bot.intake.tokens import Source
from storage.models import Incident, Team
from storage.values import Status
from tests.intake.conftest import START, Bench

ALERTMANAGER, GRAFANA, EVENTS = "/intake/alertmanager", "/intake/grafana", "/intake/events"
CONTROL = "".join(map(chr, [*range(9), *range(14, 32), *range(127, 133), *range(134, 160), 0xD800, 0xDFFF]))


def group(status: str = "firing", **parts: Any) -> dict[str, Any]:
    """A notification of one alert, as Alertmanager and Grafana send it."""
    alert = {
        "status": status,
        "labels": {"alertname": "HostDown", "instance": "db1", "severity": "critical"},
        "annotations": {"summary": "db1 is down"},
        "startsAt": START.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": "a1b2c3",
    }
    for name, value in parts.items():
        alert[name] = {**alert[name], **value} if isinstance(value, dict) and value else value  # type: ignore[dict-item]
    return {"version": "4", "externalURL": "http://alertmanager.example:9093", "alerts": [alert]}


def taken(bench: Bench, token: str, payload: Any, path: str) -> None:
    answer = bench.post_text(token, json.dumps(payload), path=path)
    assert (answer.status_code, answer.json()["errors"]) == (202, [])


def started(bench: Bench) -> list[Any]:
    with bench.store.read() as connection:
        return list(connection.scalars(select(Incident.date_started).order_by(Incident.id)))


def closed(bench: Bench) -> Any:
    with bench.store.read() as connection:
        return connection.scalars(select(Incident.date_closed)).one()


# --- control characters ------------------------------------------------------------------------------------


def test_control_characters_are_dropped_and_blanks_folded() -> None:
    assert clean_text(f" a{CONTROL}b\t\v\f\x85\u2028 c\r\n") == "ab c"
    assert clean_text("\x1b[31mjob failed\x1b[0m") == "[31mjob failed[0m"
    assert clean_text("b'\\x00\\x01' \U0001f525 سلام \u202eabc") == "b'\\x00\\x01' \U0001f525 سلام \u202eabc"


@pytest.mark.parametrize("source", [Source.ALERTMANAGER, Source.GRAFANA])
def test_a_control_character_anywhere_in_a_group_loses_nothing(bench: Bench, source: Source) -> None:
    token, path = bench.token(source=source), f"/intake/{source}"

    def bent(status: str) -> Any:
        return group(
            status,
            labels={"log" + CONTROL: "bell\x07 del\x7f", "severity": "crit\x1bical"},
            annotations={"summary": "cpu\0", "description": "\x1b[31mERROR\x1b[0m refused", "runbook_url\x01": "x"},
            generatorURL="http://prometheus.example/\x00graph",
            fingerprint="c\x003",
            startsAt=START.isoformat(),
        )

    taken(bench, token, bent("firing"), path)
    taken(bench, token, bent("firing") | {"alerts": [{**bent("firing")["alerts"][0], "fingerprint": "c3"}]}, path)
    assert bench.incidents() == [(1, "cpu", Status.CRITICAL)]
    assert ["Description", "[31mERROR[0m refused"] in bench.details()["facts"]
    with bench.store.read() as connection:
        assert connection.scalars(select(Incident.url)).one() == "http://prometheus.example/graph"
    taken(bench, token, bent("resolved"), path)
    assert bench.statuses() == [Status.CLOSED]


def test_a_control_character_anywhere_in_an_event_loses_nothing(bench: Bench) -> None:
    token = bench.token()
    event = {
        "dedup_key": "k\0ey\ud800",
        "title": "UnicodeDecodeError: b'\\x00\\x01' \0at 0",
        "status": "fir\x7fing",
        "severity": "\x07warning",
        "environment": "prod\x1buction",
        "team": "pay\0ments",
        "project": "check\0out",
        "url": "https://h/\0x",
        "description": "\ud800line\x0b two",
        "links": {"Run\0book": "https://h/\x7frunbook", "\0": "https://h/", "bad": "javascript:x"},
        "labels": {"inst\0ance": "db\x001"},
        "started_at": START.isoformat() + "\0",
    }
    taken(bench, token, event, EVENTS)
    assert bench.incidents() == [(1, "UnicodeDecodeError: b'\\x00\\x01' at 0", Status.WARNING)]
    with bench.store.read() as connection:
        row = connection.execute(select(Incident)).one()
    assert (row.environment, row.url, row.alert_key) == ("production", "https://h/x", "key")
    assert row.team_id is not None
    assert row.details == {
        "links": [["Runbook", "https://h/runbook"]],
        "facts": [["Description", "line two"], ["instance", "db1"]],
        "labels": {"instance": "db1"},
    }
    taken(bench, token, {"dedup_key": "key", "status": "resolved\0"}, EVENTS)
    assert bench.statuses() == [Status.CLOSED]


def test_a_control_character_in_a_sentry_issue_loses_neither_it_nor_its_end(bench: Bench) -> None:
    path = bench.sentry()
    event = {"issue_id": "47\x0011", "title": "UnicodeDecodeError: b'\0\x01' at 0", "level": "er\0ror"}
    triggered = {"action": "triggered", "data": {"event": event, "triggered_rule": "r\0"}}
    assert bench.post_signed(path, triggered, "event_alert").json() == {"accepted": [1], "errors": []}
    assert bench.incidents() == [(1, "UnicodeDecodeError: b'' at 0", Status.WARNING)]
    over = {"action": "resolved", "data": {"issue": {"id": 4711}}}
    assert bench.post_signed(path, over, "issue").json() == {"accepted": [1], "errors": []}
    assert bench.statuses() == [Status.CLOSED]


def test_a_line_break_that_a_script_did_not_escape_loses_nothing(bench: Bench) -> None:
    answer = bench.post_text(bench.token(), '{"dedup_key": "k", "title": "first\nsecond\tline\x1b"}')
    assert answer.json() == {"accepted": [1], "errors": []}
    assert bench.incidents() == [(1, "first second line", Status.OPEN)]


# --- times -------------------------------------------------------------------------------------------------

ODD_TIMES = [
    "1970-01-01T00:02:11Z",
    (START + timedelta(days=3)).isoformat(),
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:00",
    "2026-11-31T09:30:00Z",
    "2026-11-23T08:00:00",
    "yesterday",
    "",
    1793525400,
    True,
    {},
]


@pytest.mark.parametrize("moment", ODD_TIMES)
@pytest.mark.parametrize("source", [Source.ALERTMANAGER, Source.GRAFANA])
def test_an_odd_time_in_a_group_is_the_moment_of_arrival(bench: Bench, source: Source, moment: Any) -> None:
    token, path = bench.token(source=source), f"/intake/{source}"
    taken(bench, token, group(startsAt=moment), path)
    assert started(bench) == [START]
    bench.later(minutes=3)
    taken(bench, token, group("resolved", startsAt=moment, endsAt=moment), path)
    assert closed(bench) == START + timedelta(minutes=3)


@pytest.mark.parametrize("moment", ODD_TIMES)
def test_an_odd_time_in_an_event_is_the_moment_of_arrival(bench: Bench, moment: Any) -> None:
    token = bench.token()
    taken(bench, token, {"dedup_key": "k", "started_at": moment}, EVENTS)
    assert started(bench) == [START]
    bench.later(minutes=3)
    taken(bench, token, {"dedup_key": "k", "status": "resolved", "started_at": moment, "ended_at": moment}, EVENTS)
    assert closed(bench) == START + timedelta(minutes=3)


def test_an_end_before_its_start_is_the_moment_of_arrival(bench: Bench) -> None:
    token = bench.token()
    taken(bench, token, {"dedup_key": "k", "started_at": START.isoformat()}, EVENTS)
    bench.later(minutes=3)
    end = {"dedup_key": "k", "status": "resolved", "started_at": START.isoformat(), "ended_at": "2020-01-01T00:00:00Z"}
    taken(bench, token, end, EVENTS)
    assert closed(bench) == START + timedelta(minutes=3)


def test_an_odd_time_of_a_metric_alert_is_the_moment_of_arrival(bench: Bench) -> None:
    rule = {"id": "7", "name": "Too many errors"}
    alert = {"alert_rule": rule, "date_detected": "1970-01-01T00:00:00Z", "date_closed": ""}
    path = bench.sentry()
    for action in ("critical", "resolved"):
        answer = bench.post_signed(path, {"action": action, "data": {"metric_alert": alert}}, "metric_alert")
        assert answer.json() == {"accepted": [1], "errors": []}
    assert (started(bench), closed(bench)) == ([START], START)


def test_a_time_in_lower_case_is_a_time(bench: Bench) -> None:
    taken(bench, bench.token(), {"dedup_key": "k", "started_at": "2026-11-23t07:00:00.123456789z"}, EVENTS)
    assert started(bench) == [START.replace(hour=7, microsecond=123456)]


# --- upper case --------------------------------------------------------------------------------------------


def test_status_and_slugs_may_be_in_upper_case(bench: Bench) -> None:
    """As in commands. Keys are not words that people type, and stay as they are."""
    for token, project in (
        (bench.token(), {"project": "Checkout"}),
        (bench.token(project=None), {"project": "CATALOGUE"}),
    ):
        event = {"dedup_key": "disk", "status": "Firing", "team": "PAYMENTS", **project}
        (number,) = bench.post(token, event).json()["accepted"]
        assert bench.post(token, {**event, "status": "RESOLVED"}).json()["accepted"] == [number]
    with bench.store.read() as connection:
        assert (
            connection.execute(select(Incident.status, Team.slug).join(Team, Team.id == Incident.team_id)).all()
            == [(Status.CLOSED, "payments")] * 2
        )
    taken(bench, bench.token(source=Source.ALERTMANAGER), group("FIRING"), ALERTMANAGER)
    assert len(bench.incidents()) == 3


# --- other fields ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("title", None, "title", "disk"),
        ("title", " \n", "title", "disk"),
        ("title", ["x", 1], "title", '["x", 1]'),
        ("title", True, "title", "true"),
        ("title", "x" * 300, "title", "x" * 254 + "…"),
        ("severity", "fatal", "status", Status.OPEN),
        ("severity", 1, "status", Status.OPEN),
        ("severity", "CRITICAL", "status", Status.CRITICAL),
        ("environment", "x" * 65, "environment", "x" * 63 + "…"),
        ("environment", {}, "environment", None),
        ("environment", 7.5, "environment", "7.5"),
        ("team", "nobody", "team_id", None),
        ("team", 1, "team_id", None),
        ("url", "javascript:alert(1)", "url", None),
        ("url", "https://", "url", None),
        ("url", "http://h/a|b>", "url", None),
        ("url", "https://h/" + "x" * 2000, "url", None),
        ("url", 7, "url", None),
        ("links", [], "details", None),
        ("labels", "x", "details", None),
    ],
)
def test_an_odd_field_is_read_as_text_or_left_out(
    bench: Bench, field: str, value: Any, column: str, expected: Any
) -> None:
    taken(bench, bench.token(), {"dedup_key": "disk", "title": "Disk is full", field: value}, EVENTS)
    with bench.store.read() as connection:
        assert connection.scalar(select(getattr(Incident, column))) == expected


@pytest.mark.parametrize(("key", "same"), [(7, "7"), (True, "true"), (["a", 1], '["a", 1]'), ("x" * 5000, "x" * 5000)])
def test_a_key_of_any_type_and_length_is_a_key(bench: Bench, key: Any, same: str) -> None:
    token = bench.token()
    taken(bench, token, {"dedup_key": key}, EVENTS)
    taken(bench, token, {"dedup_key": "x" * 4999 + "y"}, EVENTS)
    taken(bench, token, {"dedup_key": same, "status": "resolved"}, EVENTS)
    assert bench.statuses() == [Status.CLOSED, Status.OPEN]


def test_a_long_key_keeps_its_beginning_and_stays_its_own() -> None:
    keys = {as_key("x" * length) for length in range(250, 300)}
    assert len(keys) == 50
    assert all(key is not None and len(key) <= MAX_KEY_LENGTH and key.startswith("xxx") for key in keys)


def test_more_labels_than_anybody_reads_lose_nothing(bench: Bench) -> None:
    token = bench.token(source=Source.ALERTMANAGER)
    taken(bench, token, group(labels={f"l{number}": "x" * 3000 for number in range(300)}), ALERTMANAGER)
    taken(bench, token, group(fingerprint="other", labels=[], annotations="x"), ALERTMANAGER)
    assert [title for _, title, _ in bench.incidents()] == ["db1 is down", "Alert"]


@pytest.mark.parametrize("title", ["\u200b\u2060", "\u3164", "\u2800"])
def test_a_title_of_nothing_visible_is_shown_as_none(bench: Bench, title: str) -> None:
    token = bench.token()
    taken(bench, token, {"dedup_key": "disk-7", "title": title}, EVENTS)
    taken(bench, token, {"dedup_key": "disk-8", "title": "Disk is full"}, EVENTS)
    taken(bench, token, {"dedup_key": "disk-8", "title": title}, EVENTS)
    assert [one for _, one, _ in bench.incidents()] == ["(no title)", "(no title)"]


def test_an_end_needs_no_title(bench: Bench) -> None:
    token = bench.token()
    taken(bench, token, {"dedup_key": "disk-7", "title": "Disk is full"}, EVENTS)
    taken(bench, token, {"dedup_key": "disk-7", "status": "resolved"}, EVENTS)
    assert bench.incidents() == [(1, "Disk is full", Status.CLOSED)]


@pytest.mark.parametrize(
    ("payload", "resource"),
    [
        ({"action": "critical", "data": {"metric_alert": {"alert_rule": {"id": "7"}, "projects": 7}}}, "metric_alert"),
        ({"action": "triggered", "data": {"event": {"issue_id": 7, "tags": [7, ["environment", {}]]}}}, "event_alert"),
    ],
)
def test_a_sentry_alert_with_nothing_but_its_id_is_one(bench: Bench, payload: Any, resource: str) -> None:
    answer = bench.post_signed(bench.sentry(), payload, resource)
    assert answer.json() == {"accepted": [1], "errors": []}
    assert [title for _, title, _ in bench.incidents()] == [f"{'metric' if 'metric' in resource else 'issue'}:7"]


@pytest.mark.parametrize("field", ["dedup_key", "title", "labels"])
def test_a_number_longer_than_python_reads_is_text(bench: Bench, field: str) -> None:
    number = "9" * 5000
    rest = '"title": "x"' if field == "dedup_key" else '"dedup_key": "a"'
    value = f'{{"n": {number}}}' if field == "labels" else number
    answer = bench.post_text(bench.token(), f'{{{rest}, "{field}": {value}}}', path=EVENTS)
    assert (answer.status_code, answer.json()["errors"]) == (202, [])
