"""What Alertmanager answers when it is not itself: a proxy before it, or another program at its address."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.alertmanager import client as module
from bot.alertmanager.client import AlertmanagerAway, AlertmanagerClient, AlertmanagerRefused
from bot.slack.transport import HttpAnswer

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
pytestmark = pytest.mark.production_deadlines("READ_S", "CHANGE_S")


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The status and body of the next answers; calls are appended. The real one never answers so."""
    given: list[Any] = []

    def call(method: str, url: str, _body: bytes | None, headers: dict[str, str], *, timeout_s: float) -> HttpAnswer:
        assert 0 < timeout_s <= 10
        status, text = given[0]
        given.append((method, url, headers))
        return HttpAnswer(status, {}, text.encode())

    monkeypatch.setattr(module, "call", call)
    return given


@pytest.mark.parametrize(
    "given",
    [
        (200, "<html>"),
        (200, "{}"),
        (200, "null"),
        (200, "[1]"),
        (200, '[{"id": "a"}]'),
        (200, '[{"id": "a", "status": {"state": "active"}, "endsAt": 3}]'),
        (200, '[{"fingerprint": "a", "labels": 1, "startsAt": "x", "status": {}}]'),
        (401, "who are you"),
        (503, "later"),
    ],
)
def test_nonsense_is_no_answer(answer: list[Any], given: tuple[int, str]) -> None:
    answer.append(given)
    client = AlertmanagerClient("http://ada:geheim@alerts.example:9093/prefix/")
    for read in (client.list_silences, client.list_alerts, client.get_version):
        with pytest.raises(AlertmanagerAway) as caught:
            read()
        assert "geheim" not in str(caught.value) and "alerts.example:9093" in str(caught.value)


def test_a_login_goes_into_a_header_and_not_into_the_address(answer: list[Any]) -> None:
    answer.append((200, "[]"))
    assert AlertmanagerClient("https://ada:ge%40heim@alerts.example/prefix/").list_silences() == []
    method, url, headers = answer[1]
    assert (method, url) == ("GET", "https://alerts.example/prefix/api/v2/silences")
    assert headers["Authorization"] == "Basic YWRhOmdlQGhlaW0="


def test_a_refused_change_is_told_from_a_failure(answer: list[Any]) -> None:
    client = AlertmanagerClient("http://alerts.example")
    answer.append((400, json.dumps("bad matcher")))
    with pytest.raises(AlertmanagerRefused):
        client.create_silence({"a": "b"}, starts=NOW, ends=NOW + timedelta(hours=1), created_by="Ada", comment="x")
    answer[0] = (500, "oh")
    with pytest.raises(AlertmanagerAway):
        client.expire_silence("an/id")
