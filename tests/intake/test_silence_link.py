"""The link to silence an alert finds exactly this alert in the real Alertmanager, whatever its labels hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bot.intake import alertmanager as parser
from tests.intake import alertmanager
from tests.intake.conftest import START
from tests.intake.test_lenient import group

# A label of each, and what Alertmanager is to be asked for.
AWKWARD = [
    "東京",
    "Zürich",
    "a  b",
    " a ",
    "tab\there",
    "line\nbreak\r\n",
    'he said "no"',
    "back\\slash \\n \\t \\",
    "🔥",
    "a,b}{=~!",
    "bell\x07 esc\x1b del\x7f",
    "\u202eabc\u2028",
    "100 % & more #1 +x ?",
    "x" * 1500,
    "é" * 200,
]


def silence_filter(labels: dict[str, Any]) -> str | None:
    """What the link asks Alertmanager's page for."""
    payload = group()
    payload["alerts"][0]["labels"] = labels
    (draft,) = parser.parse(payload, START).alerts
    page = dict(draft.links or ()).get("Silence")
    if page is None:
        return None
    fragment = urlsplit(page).fragment
    assert fragment.startswith("/silences/new?")
    return parse_qs(urlsplit(fragment).query, strict_parsing=True)["filter"][0]


def matchers(text: str) -> list[str]:
    """The single matchers of a filter, divided as Alertmanager's page does before it asks its API."""
    assert text[0] == "{" and text[-1] == "}"
    found, quoted, escaped = [""], False, False
    for char in text[1:-1]:
        if char == "," and not quoted:
            found.append("")
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = char == "\\" and not escaped
        found[-1] += char
    return found


def test_the_real_alertmanager_finds_the_alert_that_the_link_is_about(tmp_path: Path) -> None:
    everything = [{"alertname": "HostDown", "number": str(n), "odd": odd} for n, odd in enumerate(AWKWARD)]
    near = [{**labels, "odd": labels["odd"].strip() + "x"} for labels in everything]
    with alertmanager.running(alertmanager.required(), tmp_path, "http://127.0.0.1:9/", "none") as running:
        for labels in [*everything, *near]:
            running.tell(
                labels["alertname"],
                START,
                START.replace(year=2100),
                **{k: v for k, v in labels.items() if k != "alertname"},
            )
        for labels in everything:
            text = silence_filter(labels)
            assert text is not None, labels
            answer = httpx.get(f"{running.url}/api/v2/alerts", params={"filter": matchers(text)})
            assert [found["labels"] for found in answer.raise_for_status().json()] == [labels]


def test_a_name_that_is_no_identifier_stands_in_quotes() -> None:
    labels = {"alertname": "Up", "service.name": "api", 'o"dd\n': "x", "größe": "1"}
    assert silence_filter(labels) == '{alertname="Up","größe"="1","o\\"dd\\n"="x","service.name"="api"}'


@pytest.mark.parametrize("labels", [{"a": "\ud800"}, {"a": "x" * 3000}, {"a": "東" * 400}, {"a": 7}, {}, [], None])
def test_where_no_link_can_say_it_there_is_none(labels: Any) -> None:
    assert silence_filter(labels) is None
