"""Keys are of one project and source: nobody takes, closes or learns of another's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from bot.intake.tokens import Source
from storage.models import Incident, Project
from storage.values import Status
from tests.intake.conftest import Bench
from tests.intake.test_events import by_hand
from tests.intake.test_lenient import ALERTMANAGER, group

DISK = {"dedup_key": "disk-7", "title": "Disk is full"}
OVER = {"dedup_key": "disk-7", "status": "resolved"}


def by_project(bench: Bench) -> list[tuple[str, str | None, Status]]:
    """Project, key and status of every incident, the oldest first."""
    with bench.store.read() as connection:
        rows = connection.execute(
            select(Project.slug, Incident.alert_key, Incident.status)
            .join(Project, Project.id == Incident.alert_project_id)
            .order_by(Incident.id)
        )
        return [(slug, key, Status(status)) for slug, key, status in rows]


def test_two_projects_may_have_the_same_key(bench: Bench) -> None:
    checkout, catalogue = bench.token("checkout"), bench.token("catalogue")
    for number, token in enumerate((checkout, catalogue), 1):
        assert bench.post(token, DISK).json() == {"accepted": [number], "errors": []}
        assert bench.post(token, DISK).json() == {"accepted": [number], "errors": []}
    assert bench.post(catalogue, OVER).json() == {"accepted": [2], "errors": []}
    assert by_project(bench) == [("checkout", "disk-7", Status.OPEN), ("catalogue", "disk-7", Status.CLOSED)]
    assert bench.post(catalogue, DISK).json() == {"accepted": [2], "errors": []}
    assert bench.post(checkout, OVER).json() == {"accepted": [1], "errors": []}
    assert by_project(bench) == [("checkout", "disk-7", Status.CLOSED), ("catalogue", "disk-7", Status.OPEN)]


def test_two_projects_may_have_the_same_key_in_one_delivery(bench: Bench) -> None:
    token = bench.token(None)
    both: list[dict[str, Any]] = [{**DISK, "project": slug} for slug in ("checkout", "catalogue")]
    assert bench.post(token, both + both).json() == {"accepted": [1, 2], "errors": []}
    assert bench.post(token, [{**OVER, "project": "catalogue"}]).json() == {"accepted": [2], "errors": []}
    assert by_project(bench) == [("checkout", "disk-7", Status.OPEN), ("catalogue", "disk-7", Status.CLOSED)]


def test_an_answer_says_nothing_of_another_project(bench: Bench) -> None:
    bench.post(bench.token("checkout"), DISK)
    held, free = bench.token("catalogue"), bench.token("catalogue")
    answers = [bench.post(held, OVER).json(), bench.post(free, {**OVER, "dedup_key": "nobody has it"}).json()]
    assert answers == [{"accepted": [], "errors": []}] * 2
    assert bench.statuses() == [Status.OPEN]


@pytest.mark.parametrize("form", ["alertmanager:{}:a1b2c3", " alertmanager:{}:a1b2c3", "events:{}:disk-7"])
def test_a_key_that_looks_like_anothers_takes_nothing_from_it(bench: Bench, form: str) -> None:
    """The version before wrote the keys of other sources so, and those of events as they are."""
    forged = {"dedup_key": form.format(bench.project_id("checkout")), "title": "Mine"}
    attacker, prometheus, checkout = (
        bench.token("catalogue"),
        bench.token("checkout", Source.ALERTMANAGER),
        bench.token("checkout"),
    )
    assert bench.post(attacker, forged).json()["accepted"] == [1]
    assert bench.post(prometheus, group(), path=ALERTMANAGER).json() == {"accepted": [2], "errors": []}
    assert bench.post(checkout, DISK).json() == {"accepted": [3], "errors": []}
    assert bench.post(attacker, {**forged, "status": "resolved"}).json()["accepted"] == [1]
    assert bench.statuses() == [Status.CLOSED, Status.CRITICAL, Status.OPEN]
    assert bench.post(prometheus, group("resolved"), path=ALERTMANAGER).json()["accepted"] == [2]
    assert bench.statuses() == [Status.CLOSED, Status.CLOSED, Status.OPEN]


def test_two_sources_of_a_project_may_have_the_same_key(bench: Bench) -> None:
    bench.post(bench.token(source=Source.ALERTMANAGER), group(), path=ALERTMANAGER)
    grafana = bench.token(source=Source.GRAFANA)
    assert bench.post(grafana, group(), path="/intake/grafana").json()["accepted"] == [2]
    bench.post(grafana, group("resolved"), path="/intake/grafana")
    assert bench.statuses() == [Status.CRITICAL, Status.CLOSED]


def test_an_end_without_a_project_closes_the_only_open_match(bench: Bench) -> None:
    token = bench.token(None)
    for slug in ("checkout", "catalogue"):
        bench.post(token, {**DISK, "project": slug})
    answer = bench.post(token, [OVER, {**DISK, "dedup_key": "other", "project": "checkout"}])
    assert answer.status_code == 202
    (error,) = answer.json()["errors"]
    assert (error["item"], error["field"]) == (0, "project")
    assert "checkout" not in error["message"] and "catalogue" not in error["message"]
    assert bench.statuses() == [Status.OPEN] * 3
    bench.post(token, {**OVER, "project": "checkout"})
    assert bench.post(token, OVER).json() == {"accepted": [2], "errors": []}
    assert bench.statuses() == [Status.CLOSED, Status.CLOSED, Status.OPEN]
    assert bench.post(token, OVER).json() == {"accepted": [], "errors": []}, "none is open"


def test_an_end_of_another_source_needs_no_project_either(bench: Bench) -> None:
    token, path = bench.token(None, Source.ALERTMANAGER), ALERTMANAGER
    bench.post(token, group(labels={"project": "checkout"}), path=path)
    assert bench.post(token, group("resolved"), path=path).json() == {"accepted": [1], "errors": []}
    assert bench.post(token, group("resolved", fingerprint="x"), path=path).json() == {"accepted": [], "errors": []}
    assert bench.post(token, group(), path=path).json()["errors"][0]["field"] == "project"


def test_two_projects_may_use_the_same_keys_at_the_same_moment(bench: Bench) -> None:
    tokens = [bench.token(slug) for slug in ("checkout", "catalogue") for _ in range(2)]

    def deliver(number: int) -> list[int]:
        events = [{**DISK, "dedup_key": f"disk-{number // len(tokens)}-{one}"} for one in range(3)]
        answer = bench.post(tokens[number % len(tokens)], events)
        assert (answer.status_code, answer.json()["errors"]) == (202, [])
        accepted: list[int] = answer.json()["accepted"]
        return accepted

    with ThreadPoolExecutor(len(tokens)) as at_once:
        answers = list(at_once.map(deliver, range(10 * len(tokens))))
    assert all(len(accepted) == 3 for accepted in answers)
    keys = {(slug, key) for slug, key, _ in by_project(bench)}
    assert len(by_project(bench)) == len(keys) == 2 * 10 * 3


def test_an_end_without_a_project_follows_what_opened_in_the_same_delivery(bench: Bench) -> None:
    token = bench.token(None)
    delivery = [OVER, {**DISK, "project": "checkout"}, OVER, OVER, {**DISK, "project": "catalogue"}, OVER]
    assert bench.post(token, delivery).json() == {"accepted": [1, 2], "errors": []}
    assert bench.statuses() == [Status.CLOSED, Status.CLOSED]


def test_an_end_without_a_project_ends_what_a_person_closed(bench: Bench) -> None:
    token, firing = bench.token(None), {**DISK, "project": "checkout", "started_at": bench.now.isoformat()}
    bench.post(token, firing)
    bench.later(minutes=1)
    by_hand(bench, 1, Status.CLOSED)
    bench.post(token, firing)
    assert bench.statuses() == [Status.CLOSED]
    assert bench.post(token, OVER).json() == {"accepted": [1], "errors": []}
    assert bench.post(token, firing).json()["accepted"] == [2]
