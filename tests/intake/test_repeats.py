"""An alert that is told again with other words: card and view show what was told last, and nobody is bothered."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, select

from bot.intake.tokens import Source
from storage.models import Incident, IncidentProject, Outbox
from storage.values import Status
from tests.intake.conftest import START, Bench
from tests.intake.test_events import by_hand, log
from tests.intake.test_lenient import ALERTMANAGER, group
from tests.statements import counted

FIRST: dict[str, Any] = {
    "dedup_key": "disk",
    "title": "Disk is 91 % full",
    "environment": "staging",
    "url": "https://h/1",
    "description": "on db1",
    "links": {"Runbook": "https://h/run"},
    "labels": {"instance": "db1"},
    "started_at": START.isoformat(),
}
LATER: dict[str, Any] = {
    "title": "Disk is 99 % full",
    "environment": "production",
    "url": "https://h/2",
    "team": "search",
    "description": "on db1 and db2",
    "links": {"Graph": "https://h/graph"},
    "labels": {"instance": "db2"},
}


def shown(bench: Bench, number: int = 1) -> tuple[Any, ...]:
    """What an incident shows, and what lists repeat of it."""
    with bench.store.read() as connection:
        row = connection.execute(select(Incident).where(Incident.identifier == number)).one()
        listed = connection.execute(select(IncidentProject).where(IncidentProject.incident_id == row.id)).one()
    assert (listed.title, listed.team_id) == (row.title, row.team_id or 0)
    return row.title, row.environment, row.url, row.team_id, row.details


def redraws(bench: Bench) -> list[tuple[int, int | None, bool]]:
    """What delivery is told: the incident, the entry of the log if there is one, whether an alert made it."""
    with bench.store.read() as connection:
        rows = connection.execute(select(Outbox.incident_id, Outbox.activity_id, Outbox.of_alert).order_by(Outbox.id))
        return [(row[0], row[1], row[2]) for row in rows]


def test_what_was_told_last_is_shown(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, FIRST)
    before, told = log(bench), redraws(bench)
    assert bench.post(token, FIRST | LATER).json() == {"accepted": [1], "errors": []}
    title, environment, url, team_id, details = shown(bench)
    assert (title, environment, url) == ("Disk is 99 % full", "production", "https://h/2")
    assert team_id is not None
    assert details == {
        "links": [["Graph", "https://h/graph"]],
        "facts": [["Description", "on db1 and db2"], ["instance", "db2"]],
        "labels": {"instance": "db2"},
    }
    assert log(bench) == before, "the log is about what happened"
    incident_id = told[0][0]
    assert redraws(bench) == [*told, (incident_id, None, True)], "its cards are drawn anew, and nobody is told"


@pytest.mark.parametrize("field", sorted(LATER))
def test_one_other_word_is_enough(bench: Bench, field: str) -> None:
    token = bench.token()
    bench.post(token, FIRST)
    before = shown(bench)
    bench.post(token, FIRST | {field: LATER[field]})
    assert shown(bench) != before
    assert len(redraws(bench)) == 2


def test_what_is_left_out_stays(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, FIRST | LATER)
    before = shown(bench)
    bench.post(token, {"dedup_key": "disk", "severity": "critical", "started_at": FIRST["started_at"]})
    bench.post(token, {**FIRST, "status": "resolved", "title": "all well"})
    assert shown(bench) == before
    assert bench.statuses() == [Status.CLOSED]


def test_description_and_labels_each_stay_where_the_other_is_told_alone(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, FIRST)
    bench.post(token, {"dedup_key": "disk", "description": "on db3", "started_at": FIRST["started_at"]})
    assert bench.details()["facts"] == [["Description", "on db3"], ["instance", "db1"]]
    bench.post(token, {"dedup_key": "disk", "labels": {"instance": "db3"}, "started_at": FIRST["started_at"]})
    assert bench.details()["facts"] == [["Description", "on db3"], ["instance", "db3"]]
    named_so = {"dedup_key": "disk", "labels": {"Description": "on db4"}, "started_at": FIRST["started_at"]}
    bench.post(token, named_so)
    assert bench.details()["facts"] == [["Description", "on db4"]]


def test_the_same_words_write_nothing(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, FIRST | LATER)
    written: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.lstrip().startswith(("SELECT", "WITH found")):
            written.append(statement)

    with bench.store.read() as connection:
        version = "SELECT xmin, ctid FROM incident"
        before = connection.exec_driver_sql(version).all()
        projects = connection.exec_driver_sql(version + "_project").all()
    event.listen(bench.store._writing, "before_cursor_execute", note)
    bench.post(token, [FIRST | LATER] * 3)
    with bench.store.read() as connection:
        assert connection.exec_driver_sql(version).all() == before
        assert connection.exec_driver_sql(version + "_project").all() == projects
    assert written == []
    assert len(redraws(bench)) == 1


def test_an_earlier_firing_that_comes_late_changes_no_words(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, FIRST)
    bench.post(token, {**FIRST, **LATER, "started_at": "2026-11-23T08:00:00Z"})
    assert bench.incidents() == [(1, "Disk is 91 % full", Status.OPEN)]


def test_a_firing_that_reopens_says_what_it_says(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, FIRST)
    bench.post(token, {"dedup_key": "disk", "status": "resolved"})
    bench.later(minutes=1)
    bench.post(token, {**FIRST, **LATER, "started_at": bench.now.isoformat()})
    assert bench.incidents() == [(1, "Disk is 99 % full", Status.OPEN)]
    assert shown(bench)[1] == "production"


def test_what_a_person_closed_keeps_its_words(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, FIRST)
    by_hand(bench, 1, Status.CLOSED)
    bench.post(token, FIRST | LATER)
    assert bench.incidents() == [(1, "Disk is 91 % full", Status.CLOSED)]


def test_many_are_reworded_in_one_statement(bench: Bench) -> None:
    token = bench.token()
    many = [{**FIRST, "dedup_key": f"disk-{number}"} for number in range(40)]
    bench.post(token, many)
    with counted() as asked:
        assert len(bench.post(token, [item | LATER for item in many]).json()["accepted"]) == 40
    assert {shown(bench, number)[0] for number in range(1, 41)} == {"Disk is 99 % full"}
    changing = [one for one in asked.statements if "UPDATE incident " in one or "UPDATE post" in one]
    assert len(changing) == 2, "the words, and their cards"


def test_a_changed_annotation_of_alertmanagers_is_shown(bench: Bench) -> None:
    token = bench.token(source=Source.ALERTMANAGER)
    bench.post(token, group(annotations={"summary": "disk of db1 is 91 % full"}), path=ALERTMANAGER)
    told = {"summary": "disk of db1 is 99 % full", "runbook_url": "https://runbooks.example/disk"}
    bench.post(token, group(annotations=told), path=ALERTMANAGER)
    assert bench.incidents() == [(1, "disk of db1 is 99 % full", Status.CRITICAL)]
    assert ["Runbook", "https://runbooks.example/disk"] in bench.details()["links"]
    bench.post(token, group(annotations={"summary": "disk of db1 is 99 % full"}), path=ALERTMANAGER)
    assert ["Runbook", "https://runbooks.example/disk"] not in bench.details()["links"]


def test_a_name_that_the_bot_made_up_stays_as_the_group_grows(bench: Bench) -> None:
    token = bench.token(source=Source.ALERTMANAGER)
    alone = group(annotations={"summary": ""})
    bench.post(token, {**alone, "commonLabels": {}}, path=ALERTMANAGER)
    before = redraws(bench)
    bench.post(token, {**alone, "commonLabels": alone["alerts"][0]["labels"]}, path=ALERTMANAGER)
    assert bench.incidents() == [(1, "HostDown (instance=db1)", Status.CRITICAL)]
    assert redraws(bench) == before
