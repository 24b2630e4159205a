"""What is refused leaves a trace: a line in the log, and the token's name in `doctor`. Never what was sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from bot.intake.models import ItemError
from bot.intake.refusal_log import EVERY_S, MAX_REMEMBERED, RefusalLog
from bot.intake.tokens import Source
from storage.models import IntakeToken
from storage.queries.doctor import list_refused_tokens
from tests.intake.conftest import START, Bench
from tests.intake.test_lenient import ALERTMANAGER, group

GOOD = {"dedup_key": "disk", "title": "Disk is full"}
BAD = {"dedup_key": "disk", "title": "very secret", "status": "smouldering"}


def token_id(bench: Bench) -> int:
    with bench.store.read() as connection:
        return connection.scalars(select(IntakeToken.id)).one()


def refused(bench: Bench) -> list[tuple[int, str, str]]:
    """What doctor is told: the token, its source and why."""
    with bench.store.read() as connection:
        return [(one.id, one.source, one.why) for one in list_refused_tokens(connection)]


def test_a_refused_item_leaves_one_warning_without_values(bench: Bench) -> None:
    token = bench.token()
    with structlog.testing.capture_logs() as lines:
        bench.post(token, [GOOD, BAD, {"title": "no key"}])
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert line == {
        "log_level": "warning",
        "event": "an alert was refused",
        "source": "events",
        "token_id": token_id(bench),
        "item": 1,
        "field": "status",
        "reason": "should be firing or resolved",
        "more_errors": 1,
        "not_logged": 0,
    }
    assert "smouldering" not in str(lines) and "secret" not in str(lines)


@pytest.mark.parametrize(
    ("body", "field"),
    [("{", "body"), ("[]", "body"), ('{"title": "x"}', "dedup_key"), ('{"dedup_key": ""}', "dedup_key")],
)
def test_a_refused_delivery_leaves_one_warning(bench: Bench, body: str, field: str) -> None:
    token = bench.token()
    with structlog.testing.capture_logs() as lines:
        assert bench.post_text(token, body).status_code in (400, 422)
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert (line["source"], line["token_id"], line["field"]) == ("events", token_id(bench), field)


def test_a_bad_token_leaves_one_warning(bench: Bench) -> None:
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            assert bench.post("tocsin_made_up", GOOD).status_code == 401
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert (line["event"], line["token_id"], line["field"]) == ("a delivery was refused", None, "Authorization")
    assert "made_up" not in str(lines)


def test_the_log_repeats_a_token_now_and_then() -> None:
    now = [1000.0]
    refusals = RefusalLog(lambda: now[0])
    errors = [ItemError(0, "status", "is missing")]

    def said(*token_ids: int | None) -> list[Any]:
        with structlog.testing.capture_logs() as lines:
            for one in token_ids:
                refusals.note(Source.EVENTS, one, errors)
        return [(line["token_id"], line["not_logged"]) for line in lines]

    assert said(1, 1, 1, 2) == [(1, 0), (2, 0)]
    now[0] += EVERY_S - 1
    assert said(1, 2) == []
    now[0] += 1
    assert said(1, 2, None) == [(1, 3), (2, 1), (None, 0)]
    assert len(said(*range(10, MAX_REMEMBERED + 20))) == MAX_REMEMBERED + 10
    assert len(refusals._logged) == MAX_REMEMBERED


def test_another_mistake_of_a_token_is_told_at_once(bench: Bench) -> None:
    token = bench.token()
    bodies: list[Any] = [BAD, {"title": "no key"}, BAD, [], {"dedup_key": " "}]
    with structlog.testing.capture_logs() as lines:
        for body in bodies:
            assert bench.post(token, body).status_code == 422
    assert [line["field"] for line in lines if line["log_level"] == "warning"] == ["status", "dedup_key", "body"]


def test_a_token_whose_last_delivery_was_refused_is_known_until_a_good_one(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, GOOD)
    assert refused(bench) == []
    bench.post(token, [GOOD, BAD])
    assert refused(bench) == [(token_id(bench), "events", "status should be firing or resolved")]
    bench.later(seconds=30)
    bench.post_text(token, "{")
    with bench.store.read() as connection:
        assert connection.scalar(select(IntakeToken.last_refused)) == START, "to the minute"
    bench.later(seconds=40)
    bench.post_text(token, "{")
    with bench.store.read() as connection:
        assert connection.scalar(select(IntakeToken.last_refused)) == START + timedelta(seconds=70)
    ((_, _, why),) = refused(bench)
    assert why.startswith("body is not JSON")
    bench.post(token, GOOD)
    assert refused(bench) == []


def test_what_is_to_come_again_is_not_refused(bench: Bench) -> None:
    token = bench.token(source=Source.ALERTMANAGER)
    many = group()
    many["alerts"] *= 400
    assert [bench.post(token, many, path=ALERTMANAGER).status_code for _ in range(2)] == [202, 503]
    assert refused(bench) == []


def test_a_token_of_another_source_is_known(bench: Bench) -> None:
    assert bench.post(bench.token(source=Source.GRAFANA), GOOD).status_code == 401
    ((_, source, why),) = refused(bench)
    assert (source, why) == ("grafana", "Authorization this token is for grafana, not events")
