"""Silences on both sides, with the real Alertmanager on loopback."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bot.alertmanager.client import AlertmanagerClient
from bot.alertmanager.metrics import AlertmanagerMetrics
from bot.alertmanager.worker import AlertmanagerWorker
from bot.intake.tokens import Source
from storage.engine import Store
from tests.clock import store_at_the_machines_date
from tests.intake import alertmanager
from tests.intake.alertmanager import Alertmanager
from tests.stories.conftest import World, token_for_checkout
from tests.stories.test_alertmanager import _until as until
from tests.stories.test_cards import card, cards
from tests.stories.test_silences import silence

# Whatever labels may hold.
ODD = {
    "umlaut": "schön  doppelt",
    "text": '結城 🚨 "quoted" back\\slash, comma=equals {braces}',
    "long": "sehr lang " * 150,
}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """At the machine's date, which Alertmanager goes by as well."""
    opened = store_at_the_machines_date(database_url)
    yield opened
    opened.close()


@dataclass
class Sides:
    """The bot and an Alertmanager whose alerts it gets."""

    world: World
    there: Alertmanager
    worker: AlertmanagerWorker
    began: datetime

    def fire(self, name: str, **labels: str) -> None:
        self.there.tell(name, self.began, self.world.store.clock.now() + timedelta(hours=1), **labels)

    def end(self, name: str, **labels: str) -> None:
        self.there.tell(name, self.began, self.world.store.clock.now() - timedelta(seconds=1), **labels)

    def call(self, method: str, path: str, **given: Any) -> Any:
        answer = httpx.request(method, f"{self.there.url}/api/v2{path}", **given)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.text else None

    def silences(self, state: str = "active") -> list[Any]:
        return [one for one in self.call("GET", "/silences") if one["status"]["state"] == state]

    def silence(self, label: str, pattern: str, **more: Any) -> str:
        """Silences there what has a label that matches, and returns the silence's id."""
        now = self.world.store.clock.now()
        body = {
            "matchers": [{"name": label, "value": pattern, "isRegex": True, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=2)).isoformat(),
            "createdBy": "grace",
            "comment": "moving <racks>",
            **more,
        }
        return str(self.call("POST", "/silences", json=body)["silenceID"])

    def listed(self, words: str) -> str:
        return self.world.ask(self.world.ada, f"list {words}").text

    def until_listed(self, title: str, words: str = "") -> None:
        until(lambda: title in self.listed(words))

    def pass_until(self, holds: Callable[[], bool]) -> None:
        """Compares the sides until something holds."""

        def compared() -> bool:
            assert self.worker.tick()
            return holds()

        until(compared)


@pytest.fixture
def sides(world: World, intake: str, tmp_path: Path) -> Iterator[Sides]:
    program = alertmanager.required()
    token = token_for_checkout(world, Source.ALERTMANAGER)
    with alertmanager.running(program, tmp_path, f"{intake}/intake/alertmanager", token) as there:
        worker = AlertmanagerWorker(world.store, AlertmanagerClient(there.url), settled_after=timedelta(0))
        yield Sides(world, there, worker, world.store.clock.now() - timedelta(minutes=2))


def test_a_silence_made_in_slack_stands_there_and_ends_there(sides: Sides) -> None:
    sides.fire("HostDown", **ODD)
    sides.fire("Other", instance="db1")
    sides.until_listed("Other")
    number = 1 if "#1 HostDown" in sides.listed("") else 2
    made = silence(sides.world, sides.world.ada, f"{number} 2h planned upgrade")
    assert sides.worker.tick()
    (there,) = sides.silences()
    assert there["createdBy"] == "Ada Obi" and there["comment"].startswith("planned upgrade")
    silenced = [one["labels"]["alertname"] for one in sides.call("GET", "/alerts") if one["status"]["silencedBy"]]
    assert silenced == ["HostDown"]
    assert "also in Alertmanager" in sides.world.ask(sides.world.ada, "silence list").text
    assert sides.worker.tick() and len(sides.silences()) == 1

    sides.world.ask(sides.world.ben, f"silence end {made}")
    assert sides.worker.tick()
    assert sides.silences() == []
    assert sides.worker.tick()


def test_ends_and_starts_are_kept_while_a_silence_stands_there(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    sides.world.rest()  # until its card is there
    silence(sides.world, sides.world.ada, "1 2h")
    assert sides.worker.tick()
    sides.end("HostDown", instance="db1")
    sides.pass_until(lambda: "#1" in sides.listed("closed"))
    sides.began = sides.world.store.clock.now()
    sides.fire("HostDown", instance="db1")
    sides.pass_until(lambda: "#1" in sides.listed("silenced:yes"))
    sides.world.rest()
    assert len(cards(sides.world)) == 1
    before = sides.world.ask(sides.world.ada, "activity 1").text
    assert sides.worker.tick()
    assert sides.world.ask(sides.world.ada, "activity 1").text == before


def test_a_silence_made_in_slack_and_ended_there_ends_here(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    made = silence(sides.world, sides.world.ada, "1 2h")
    assert sides.worker.tick()
    (there,) = sides.silences()
    sides.call("DELETE", f"/silence/{there['id']}")
    assert sides.worker.tick()
    assert sides.world.ada.wait_for_message(containing=f"Your silence {made}")
    assert "No silences." in sides.world.ask(sides.world.ada, "silence list").text


def test_a_silence_made_there_shows_on_what_it_matches(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.fire("Slow", instance="web1")
    sides.until_listed("HostDown")
    sides.until_listed("Slow")
    sides.world.rest()  # both have their cards
    there = sides.silence("instance", "db.*")
    sides.pass_until(lambda: "HostDown" in sides.listed("silenced:yes"))
    assert "Slow" not in sides.listed("silenced:yes")
    listed = sides.world.ask(sides.world.ben, "silence list").text
    assert "by grace in Alertmanager" in listed and "moving <racks>" in listed
    assert "No silences." in sides.world.ask(sides.world.cyn, "silence list").text
    number = 1 if "#1 HostDown" in sides.listed("") else 2
    assert "Its alert was silenced in Alertmanager" in sides.world.ask(sides.world.ada, f"activity {number}").text

    sides.fire("HostDown", instance="db2")  # Alertmanager never sends it
    sides.pass_until(lambda: "db2" in sides.listed("silenced:yes"))
    sides.fire("HostDown", instance="db3")
    sides.pass_until(lambda: "db3" in sides.listed("silenced:yes"))
    sides.end("HostDown", instance="db3")
    sides.pass_until(lambda: "db3" in sides.listed("closed"))
    sides.world.rest()
    assert not any("db2" in one.text or "db3" in one.text for one in cards(sides.world))

    sides.call("DELETE", f"/silence/{there}")
    assert sides.worker.tick()
    sides.world.rest()
    assert [("db2" in one.text, "db3" in one.text) for one in cards(sides.world)][2:] == [(True, False)]


def test_a_silence_made_there_is_ended_from_slack(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    sides.silence("instance", "db.*")
    sides.pass_until(lambda: "HostDown" in sides.listed("silenced:yes"))
    longer = silence(sides.world, sides.world.ada, "1 3h")  # holds it, and does not hide the other one
    made = re.search(r"Silence (\d+)", sides.world.ask(sides.world.ben, "silence list").text)
    assert made is not None and int(made[1]) != longer
    assert "You ended" in sides.world.ask(sides.world.ada, f"silence end {longer}").text
    assert f"You ended silence {made[1]}." in sides.world.ask(sides.world.ben, f"silence end {made[1]}").text
    sides.pass_until(lambda: sides.silences() == [])
    assert sides.worker.tick()
    assert "No open incidents" in sides.listed("silenced:yes")


def test_an_end_that_is_changed_there_is_followed(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    silence(sides.world, sides.world.ada, "1 2h")
    assert sides.worker.tick()
    (there,) = sides.silences()
    ends = datetime.fromisoformat(there["endsAt"]) + timedelta(hours=3)
    body = {key: there[key] for key in ("id", "matchers", "startsAt", "createdBy", "comment")}
    sides.call("POST", "/silences", json={**body, "endsAt": ends.isoformat()})
    assert sides.worker.tick()
    with sides.world.store.read() as connection:
        kept = connection.exec_driver_sql("SELECT ends FROM silence").scalar_one()
    assert abs(kept - ends) < timedelta(seconds=1)


def test_what_does_not_pin_down_one_project_stays_here(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1", service="db")
    sides.until_listed("HostDown")
    sides.world.ada.press(card(sides.world), "Silence")
    form = sides.world.ada.wait_for_form("Silence #1").choose("Same labels", "service = db")
    assert form.submit().closed
    assert sides.worker.tick()
    assert sides.silences() == []
    assert "holds 1 open incident" in sides.world.ask(sides.world.ada, "silence list").text


def test_a_maker_who_no_longer_sees_the_project_silences_nothing_there(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    silence(sides.world, sides.world.ben, "1 2h")
    assert sides.worker.tick() and len(sides.silences()) == 1
    with sides.world.store.write() as tx:
        tx.exec_driver_sql(
            "DELETE FROM member_team WHERE member_id = (SELECT id FROM member WHERE name = %s)", ("Ben Tal",)
        )
    assert sides.worker.tick() and sides.silences() == []
    assert sides.worker.tick() and sides.silences() == []


def test_while_alertmanager_is_away_a_silence_stands_here(sides: Sides, caplog: pytest.LogCaptureFixture) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    silence(sides.world, sides.world.ada, "1 2h")
    registry = CollectorRegistry()
    away = AlertmanagerWorker(
        sides.world.store, AlertmanagerClient("http://user:geheim@127.0.0.1:9"), AlertmanagerMetrics(registry)
    )
    assert not away.tick() and not away.tick()
    passes = {
        result: registry.get_sample_value("tocsin_alertmanager_passes_total", {"result": result})
        for result in ("ok", "away", "failed")
    }
    assert passes == {"ok": 0, "away": 2, "failed": 0}
    assert "geheim" not in caplog.text and "cannot be reached" in caplog.text
    assert "HostDown" in sides.listed("silenced:yes")
    with sides.world.store.write() as tx:
        tx.exec_driver_sql("DELETE FROM process_lease")
    assert sides.worker.tick() and len(sides.silences()) == 1


def test_a_process_that_died_before_it_recorded_a_silence_makes_no_second_one(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    silence(sides.world, sides.world.ada, "1 2h")
    assert sides.worker.tick()
    with sides.world.store.write() as tx:
        tx.exec_driver_sql("UPDATE silence SET alertmanager_id = NULL")
    assert sides.worker.tick() and len(sides.silences()) == 1
    assert sides.world.ask(sides.world.ada, "silence list").text.count("Silence ") == 1


def test_one_process_at_a_time_compares_the_sides(sides: Sides) -> None:
    other = AlertmanagerWorker(sides.world.store, AlertmanagerClient(sides.there.url))
    assert sides.worker.tick()
    assert not other.tick()


def test_a_silence_there_that_concerns_others_too_is_not_ended_from_slack(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    sides.silence("instance", "db.*")
    sides.pass_until(lambda: "HostDown" in sides.listed("silenced:yes"))
    made = re.search(r"Silence (\d+)", sides.world.ask(sides.world.ben, "silence list").text)
    assert made is not None
    sides.world.ask(sides.world.ben, f"silence end {made[1]}")
    with sides.world.store.write() as tx:  # another organization has the alert, too
        tx.exec_driver_sql("UPDATE silence SET alertmanager_keys = '{}'")
    assert sides.worker.tick() and sides.worker.tick()
    assert len(sides.silences()) == 1
    assert "No open incidents" in sides.listed("silenced:yes")


def test_the_worker_compares_by_itself_until_it_stops(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    silence(sides.world, sides.world.ada, "1 2h")
    worker = AlertmanagerWorker(sides.world.store, AlertmanagerClient(sides.there.url), every_s=0.05)
    worker.start()
    until(lambda: len(sides.silences()) == 1)
    worker.stop()
    assert sides.worker.tick(), "the lease was given up"


def test_an_alertmanager_that_has_just_started_ends_nothing(sides: Sides) -> None:
    sides.fire("HostDown", instance="db1")
    sides.until_listed("HostDown")
    sides.world.rest()  # until its card is there
    silence(sides.world, sides.world.ada, "1 2h")
    assert sides.worker.tick()
    sides.end("HostDown", instance="db1")
    until(lambda: sides.call("GET", "/alerts") == [])
    with sides.world.store.write() as tx:
        tx.exec_driver_sql("DELETE FROM process_lease")
    waiting = AlertmanagerWorker(sides.world.store, AlertmanagerClient(sides.there.url))
    assert waiting.tick() and waiting.tick()
    assert "HostDown" in sides.listed("silenced:yes")
