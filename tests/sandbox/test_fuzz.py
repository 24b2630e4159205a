"""Whatever the app sends, the sandbox answers: no call, acknowledgement or response URL makes it fall over."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import Sandbox
from sandbox.api import dispatch
from sandbox.server import use_response_url
from tests.patience import PATIENCE_S
from tests.sandbox.bare import BareApp

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)

# Values that mean something here, next to those that do not.
meaningful = st.sampled_from(
    [
        *(
            "in_channel",
            "hello",
            "C0001",
            "C0002",
            "U0001",
            "U0BOT",
            "D0001",
            "S0001",
            "B0001",
            "1.000001",
            "",
            "0",
            "-1",
            "999999",
        ),
        *("[]", "{}", "[{}]", '[{"type": "section"}]', '{"type": "modal"}', "true", "b2Zmc2V0Oi01", "b2Zmc2V0Og=="),
    ]
)
names = st.sampled_from(
    [
        *("channel", "user", "users", "text", "blocks", "attachments", "metadata", "ts", "thread_ts", "message_ts"),
        *("timestamp", "name", "view", "view_id", "external_id", "hash", "trigger_id", "user_id", "types", "limit"),
        *("cursor", "oldest", "latest", "inclusive", "email", "usergroup", "bot", "team", "file", "files", "length"),
        *("filename", "channels", "channel_id", "initial_comment", "username", "icon_emoji", "reply_broadcast"),
    ]
)
arguments = st.dictionaries(names, meaningful | json_values, max_size=8)


@pytest.fixture(scope="module")
def peopled() -> Iterator[Sandbox]:
    """A workspace with somebody in it and something said."""
    with Sandbox() as slack:
        ada = slack.person("U0001", "Ada Obi", "ada@acme.test")
        ops = slack.channel("C0001", "checkout")
        slack.channel("C0002", "closed", private=True)
        slack.usergroup("S0001", "payments", "Payments", [ada])
        ada.reply(ada.say(ops, "hello"), "and on")
        yield slack


def defects(slack: Sandbox) -> list[str]:
    found = [problem.detail for problem in slack.problems if problem.kind == "sandbox_defect"]
    slack.problems.clear()
    return found


@FUZZ
@given(method=st.sampled_from(sorted(dispatch.METHODS)), given=arguments, as_json=st.booleans())
def test_any_call_is_answered(peopled: Sandbox, method: str, given: dict[str, Any], as_json: bool) -> None:
    token = peopled.app_token if method == "apps.connections.open" else peopled.bot_token
    if as_json:
        body, content_type = json.dumps(given).encode(), "application/json; charset=utf-8"
    else:
        form = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
        body, content_type = urlencode(form, errors="replace").encode(), "application/x-www-form-urlencoded"
    headers = {"content-type": content_type, "authorization": f"Bearer {token}"}
    response = dispatch.call(peopled.platform, dispatch.Request(method, "POST", "", headers, body))
    answer = json.loads(response.body)
    assert answer["ok"] or answer["error"]
    assert defects(peopled) == []


@FUZZ
@given(body=st.binary(max_size=50), content_type=st.sampled_from(["", "application/json", "text/plain", "x;y"]))
def test_any_body_is_answered(peopled: Sandbox, body: bytes, content_type: str) -> None:
    headers = {"content-type": content_type, "authorization": f"Bearer {peopled.bot_token}"}
    response = dispatch.call(peopled.platform, dispatch.Request("auth.test", "POST", "", headers, body))
    assert response.status == 200
    assert defects(peopled) == []


@FUZZ
@given(
    payload=st.dictionaries(
        st.sampled_from(
            ["text", "blocks", "attachments", "response_type", "replace_original", "delete_original", "thread_ts"]
        ),
        meaningful | json_values,
    )
)
def test_any_use_of_a_response_url_is_answered(peopled: Sandbox, payload: dict[str, Any]) -> None:
    ada = peopled.who("U0001")
    channel = peopled.platform.workspace.channel("C0001")
    url = peopled.platform.response_urls.issue("commands", ada.user, channel)
    path = url.removeprefix(peopled.platform.base_url)
    assert use_response_url(peopled.platform, path, json.dumps(payload).encode()).status_code in (200, 400, 404)
    assert defects(peopled) == []


@settings(FUZZ, max_examples=60)
@given(answer=st.none() | json_values | st.dictionaries(st.sampled_from(["text", "blocks", "options"]), json_values))
def test_any_acknowledgement_is_taken(peopled: Sandbox, answer: Any) -> None:
    ada = peopled.who("U0001")
    with ExitStack() as stack:
        app = BareApp(peopled, stack)
        app.answer = answer
        ada.command("/incident", channel="C0001")
        assert app.received
    assert defects(peopled) == []


routes = st.sampled_from(
    [
        *("people", "channels", "usergroups", "clock/advance", "faults", "sockets"),
        *(
            f"people/U0001/{act}"
            for act in (
                *("command", "press", "choose", "options", "say", "edit", "delete", "react", "unreact", "shortcut"),
                *("open_home", "form/fill", "form/submit", "form/close"),
            )
        ),
    ]
)
fields = st.sampled_from(
    [
        *("command", "text", "channel", "resolve", "on", "label", "row", "containing", "choice", "typed", "thread"),
        *("ts", "name", "callback_id", "message", "choices", "checked", "moment", "everything", "id", "members"),
        *("seconds", "kind", "methods", "times", "do", "users", "handle"),
    ]
)
places = st.fixed_dictionaries({"channel": meaningful, "ts": meaningful})


@FUZZ
@given(
    route=routes,
    body=st.dictionaries(fields, meaningful | places | st.sampled_from(["form", "home", "drop"]) | json_values),
)
def test_any_control_route_is_answered(peopled: Sandbox, route: str, body: dict[str, Any]) -> None:
    peopled.platform.deliveries.acknowledge_seconds = 0.01
    url = f"{peopled.platform.base_url}/sandbox/{route}"
    try:
        with urlopen(Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})) as response:
            status = response.status
    except HTTPError as error:
        with error:
            status = error.code
    finally:
        peopled.platform.deliveries.acknowledge_seconds = PATIENCE_S
        peopled.faults.clear()
        peopled.problems.clear()
    assert status in (200, 404, 409, 422, 503)
