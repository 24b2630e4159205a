"""Whatever is posted: it is taken or refused in words, and nothing that cannot be stored or shown gets through."""

from __future__ import annotations

import copy
import json
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH, MAX_TITLE_LENGTH
from bot.intake import alertmanager, events, grafana, sentry
from bot.intake.models import MAX_LINK_LENGTH, MAX_URL_LENGTH, ParseResult, Unreadable, clean_text, decode, is_web_url
from bot.intake.tokens import Source
from tests.intake.conftest import START, Bench
from tests.intake.test_events import FULL
from tests.intake.test_sources import sample

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)

# What JSON can carry and programs trip over.
AWKWARD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, -1, 0, 2**70, 1e308, "", " ", "\0", "\ud800", "<!channel>", "x" * 3000, "firing", "resolved"),
        *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "2026-11-23T09:00:00.123456789Z", "20261123T090000Z"),
        *("2026-02-30T00:00:00Z", "critical", "http://[::1", "http://h:99999/", "https://h/%00", "javascript:x"),
        *([], {}, [[]], {"": ""}, {"a": {"b": []}}),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | AWKWARD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in entries:
        found += _paths(part, (*path, step))
    return found


@st.composite
def bent(draw: st.DrawFn, payloads: list[Any]) -> Any:
    """A good payload with a few of its parts replaced, removed or doubled."""
    payload = copy.deepcopy(draw(st.sampled_from(payloads)))
    for _ in range(draw(st.integers(1, 4))):
        paths = _paths(payload)
        if not paths:
            break
        *way, last = draw(st.sampled_from(paths))
        part = payload
        for step in way:
            part = part[step]
        if draw(st.integers(0, 4)) == 0:
            del part[last]
        else:
            part[last] = copy.deepcopy(draw(JSON))  # the next change may be inside it
    return payload


EVENTS = [FULL, [FULL, {"dedup_key": "a", "title": "b", "status": "resolved"}]]
SENTRY = [*sample("sentry-metric-alert"), *sample("sentry-issue-alert")]


def _sentry(payload: Any, now: datetime) -> ParseResult:
    return sentry.parse(payload, now, "metric_alert" if "metric_alert" in str(payload) else "event_alert")


def _well_formed(parsed: ParseResult) -> None:
    assert len({alert.item for alert in parsed.alerts}) == len(parsed.alerts)
    assert not {alert.item for alert in parsed.alerts} & {error.item for error in parsed.errors}
    for error in parsed.errors:
        assert error.field and error.message
    for alert in parsed.alerts:
        assert alert.title is None or 0 < len(alert.title) <= MAX_TITLE_LENGTH
        assert 0 < len(alert.key) <= 255
        assert alert.environment is None or len(alert.environment) <= MAX_ENVIRONMENT_LENGTH
        for moment in (alert.started, alert.ended):
            assert moment is None or (moment.tzinfo is UTC and moment.year >= 2000)
        assert alert.url is None or len(alert.url) <= MAX_URL_LENGTH
        pairs = [*(alert.links or ()), *(alert.facts or ()), ("description", alert.description or "none")]
        urls = [alert.url, *(url for _, url in alert.links or ())]
        assert all(url is None or (is_web_url(url) and len(url) <= MAX_LINK_LENGTH) for url in urls)
        words = [alert.key, alert.title, alert.environment, alert.project, alert.team, alert.url]
        words += [text for pair in pairs for text in pair]
        for text in words:
            assert text is None or text == clean_text(text) != ""
            assert text is None or not any(unicodedata.category(one) in ("Cc", "Cs") for one in text)


@pytest.mark.parametrize(
    ("parse", "payloads"),
    [
        (events.parse, EVENTS),
        (alertmanager.parse, sample("alertmanager")),
        (grafana.parse, sample("grafana")),
        (_sentry, SENTRY),
    ],
    ids=["events", "alertmanager", "grafana", "sentry"],
)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_parser_takes_or_names_whatever_comes(
    parse: Callable[[Any, datetime], ParseResult], payloads: list[Any], data: st.DataObject
) -> None:
    _well_formed(parse(data.draw(JSON | bent(payloads)), NOW))


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_bytes_are_json_or_not(body: bytes) -> None:
    try:
        value = decode(body)
    except Unreadable as error:
        assert str(error)
    else:
        json.dumps(value, allow_nan=False)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_over_http_every_delivery_is_answered_in_words(bench: Bench, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([Source.EVENTS, Source.ALERTMANAGER, Source.GRAFANA]))
    payloads = {Source.EVENTS: EVENTS}.get(source) or sample(source.value)
    payload = data.draw(JSON | bent(payloads))
    bench.go_to(max(bench.now, START))
    answer = bench.client.post(
        f"/intake/{source}",
        content=json.dumps(payload),
        headers={"Authorization": f"Bearer {bench.token(source=source)}"},
    )
    assert answer.status_code in (202, 422), answer.text
    body = answer.json()
    assert set(body) == {"accepted", "errors"}
    assert all(set(error) == {"item", "field", "message"} for error in body["errors"])
    if answer.status_code == 422:
        assert body["errors"]
        assert body["accepted"] == []


def test_the_longest_id_of_a_sentry_rule_fits_with_what_says_that_it_is_one() -> None:
    payload = copy.deepcopy(sample("sentry-metric-alert")[0])
    payload["data"]["metric_alert"]["alert_rule"]["id"] = "x" * 255
    parsed = sentry.parse(payload, NOW, "metric_alert")
    _well_formed(parsed)
    assert [alert.key[:8] for alert in parsed.alerts] == ["metric:x"]
