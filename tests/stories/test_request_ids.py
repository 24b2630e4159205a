"""What fails unexpectedly is found in the log by the id that the person was shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.stories.conftest import IN_BOTH_MODES, World

pytestmark = IN_BOTH_MODES


@contextmanager
def broken(world: World) -> Iterator[None]:
    """Meanwhile the database lacks a table, which nobody expects."""
    with world.store.write() as tx:
        tx.exec_driver_sql("ALTER TABLE incident_subscription RENAME TO gone")
    try:
        yield
    finally:
        with world.store.write() as tx:
            tx.exec_driver_sql("ALTER TABLE gone RENAME TO incident_subscription")


def test_the_id_that_a_person_is_shown_is_that_of_the_log(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.declare("Payments fail")
    world.rest()
    capsys.readouterr()
    with broken(world):
        texts = [world.ask(world.ada, words).text for words in ("subscribe 1", "subscribe 1")]
        world.settle()
    shown = [match[1] for text in texts if (match := re.search(r"Error ID: ([0-9a-f]{8})\.", text))]
    assert len(set(shown)) == 2, texts
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    for error_id in shown:
        [line] = [line for line in lines if line.get("request_id") == error_id and line["event"] == "unexpected error"]
        assert 'relation "incident_subscription" does not exist' in line["exception"]
        assert line["what"] == "subscribe"


def test_each_line_about_a_request_has_its_id(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.declare("Payments fail")
    world.rest()
    capsys.readouterr()
    world.slack.faults.refuse("views.open", "internal_error", times=None)  # in the background of the press
    shown = world.view(world.ada, 1)
    world.ada.press(shown, "Comment")
    world.ada.press(shown, "Comment")
    world.settle()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    ids = [line["request_id"] for line in lines if "internal_error" in json.dumps(line)]
    assert len(set(ids)) == 2, lines
    assert all(re.fullmatch(r"[0-9a-f]{8}", one) for one in ids)
