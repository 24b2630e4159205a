"""The page's routes and its feed, without a browser: who is let in, and that nothing sent to them breaks anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sandbox import Person, Sandbox
from sandbox.driver.surface import WAIT_SECONDS
from sandbox.page.actions import Actions
from sandbox.page.site import FOLDER


@pytest.fixture
def ada(slack: Sandbox) -> Person:
    ada = slack.person("U0001", "Ada Obi")
    slack.person("U0002", "Ben Tal")
    slack.channel("C0001", "ops")
    slack.platform.deliveries.acknowledge_seconds = 0.05  # no app is there
    return ada


@contextmanager
def feed(slack: Sandbox, who: str = "U0001", **options: Any) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{slack.port}/page/feed?as={who}", max_size=None, **options) as line:
        yield line


def act(line: ClientConnection, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to an act, whatever news comes before it."""
    line.send(json.dumps(asked))
    while True:
        news = json.loads(line.recv(timeout=WAIT_SECONDS))
        if news.get("re") == asked["id"]:
            return dict(news)


ROUTES = ["/", "/page/static/main.js", "/page/files/F0001", "/page/static/nothing.js"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.test"},
        {"Host": "127.0.0.1.evil.test"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_no_other_site_gets_in(slack: Sandbox, path: str, headers: dict[str, str]) -> None:
    answer = httpx.get(f"http://127.0.0.1:{slack.port}{path}", headers=headers)
    assert answer.status_code == 403
    assert "script" not in answer.text


def test_no_other_site_posts_files(slack: Sandbox, ada: Person) -> None:
    url = f"http://127.0.0.1:{slack.port}/page/files?as={ada.id}&channel=C0001&name=x"
    assert httpx.post(url, content=b"x", headers={"Origin": "http://evil.test"}).status_code == 403
    assert httpx.post(url, content=b"x", headers={"Host": "evil.test"}).status_code == 403
    assert ada.sees("C0001") == []
    assert httpx.post(url, content=b"x").status_code == 200
    assert len(ada.sees("C0001")) == 1


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.test"}, {"Origin": "null"}])
def test_no_other_site_opens_the_feed(slack: Sandbox, ada: Person, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused, feed(slack, ada.id, additional_headers=headers):
        pass
    assert refused.value.response.status_code == 403


def test_every_answer_says_what_a_browser_may_do(slack: Sandbox) -> None:
    for path in ROUTES:
        headers = httpx.get(f"http://127.0.0.1:{slack.port}{path}").headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    """No address of another machine stands in any of its files, but names of XML's own."""
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        for address in ("http://", "https://", "//cdn"):
            found = [line for line in text.splitlines() if address in line and "https?:" not in line]
            assert found == [], path.name


def test_files_are_what_they_are_called_and_nothing_else(slack: Sandbox) -> None:
    base = f"http://127.0.0.1:{slack.port}"
    for path in ("/page/static/../site.py", "/page/static/..%2fsite.py", "/page/static/%2e%2e", "/page/static/"):
        assert httpx.get(base + path).status_code == 404
    answer = httpx.get(f"{base}/page/static/main.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    again = httpx.get(f"{base}/page/static/main.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.usefixtures("ada")
def test_a_window_is_somebodys(slack: Sandbox) -> None:
    """Somebody unknown is the first person; what another is told stays theirs."""
    with feed(slack, "U9999") as line:
        assert json.loads(line.recv(timeout=WAIT_SECONDS))["me"] == "U0001"
    secret = slack.channel("C0002", "secret", private=True, members=[slack.who("U0002")])
    slack.who("U0002").say(secret, "not for Ada")
    with feed(slack) as line:
        hello = json.loads(line.recv(timeout=WAIT_SECONDS))
        assert [channel["id"] for channel in hello["channels"]] == ["C0001", "D0001"]
        assert "not in that conversation" in act(line, {"id": 1, "do": "open", "channel": "C0002"})["error"]
        slack.who("U0002").say(secret, "not for Ada either")
        slack.who("U0002").say("C0001", "for everybody")
        news = ""
        while "for everybody" not in news:
            news = str(line.recv(timeout=WAIT_SECONDS))
            assert "not for Ada" not in news


@pytest.mark.parametrize("do", ["open", "thread"])
def test_what_changes_after_it_was_read_is_told_after_it(
    slack: Sandbox, ada: Person, monkeypatch: pytest.MonkeyPatch, do: str
) -> None:
    """Else the page would show what it read, and not the change."""
    said = ada.say("C0001", "before")
    edit = threading.Thread(target=ada.edit, args=(said, "after"))
    perform = Actions.perform

    def edited_meanwhile(self: Actions, asked: dict[str, Any]) -> dict[str, Any]:
        answer = perform(self, asked)
        edit.start()
        edit.join(0.2)  # it ends within that time, or waits for the end of the reading
        return answer

    with feed(slack) as line:
        line.recv(timeout=WAIT_SECONDS)
        monkeypatch.setattr(Actions, "perform", edited_meanwhile)
        line.send(json.dumps({"id": 1, "do": do, "channel": "C0001", "ts": said.ts}))
        heard: list[dict[str, Any]] = []
        while not (heard and "after" in str(heard[-1])):
            heard.append(json.loads(line.recv(timeout=WAIT_SECONDS)))
        assert any(news.get("re") == 1 and "before" in str(news) for news in heard)
    edit.join()


ACTS = [
    *("open", "thread", "read", "say", "command", "edit", "delete", "react", "join", "shortcut", "message_shortcut"),
    *("home", "use", "options", "fill", "submit", "close", "inspect", "fault", "watch", "nothing"),
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=20),
    st.sampled_from(["C0001", "D0001", "U0001", "#", "1", "1.1", "9999999999.000001", "\x00", "/incident"]),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
NAMES = ["channel", "ts", "text", "name", "thread", "before", "size", "view", "block", "action", "value", "typed"]


@pytest.mark.usefixtures("ada")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(do=st.one_of(st.sampled_from(ACTS), VALUES), asked=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
def test_no_act_breaks_the_page(slack: Sandbox, do: object, asked: dict[str, Any]) -> None:
    """Whatever a window sends is done or answered with a sentence, and never said to be the sandbox's fault."""
    with feed(slack) as line:
        answer = act(line, {**asked, "id": 7, "do": do})
        assert answer.get("ok") or answer["error"]
        assert "wrong with the sandbox" not in answer.get("error", "")


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", '{"id": "x"}', "[" * 10_000, '{"id": 1e400}'])
def test_what_is_no_act_is_told(slack: Sandbox, text: str) -> None:
    with feed(slack) as line:
        line.recv(timeout=WAIT_SECONDS)
        line.send(text)
        while True:
            news = json.loads(line.recv(timeout=WAIT_SECONDS))
            if "error" in news:
                break
        assert act(line, {"id": 2, "do": "open", "channel": "C0001"})["ok"]
