"""Slack's HTTP mode as whoever reaches the port can use it: signed or not, old, odd, large, twice, late."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import httpx
import pytest

from bot.slack.http_mode import WORKERS
from sandbox.http_mode import sign
from tests.stories.conftest import World
from tests.stories.test_permissions import state

pytestmark = pytest.mark.parametrize("world", ["http"], indirect=True)

FORM = "application/x-www-form-urlencoded"
Post = Callable[..., httpx.Response]


@pytest.fixture
def url(world: World) -> str:
    """Where the bot takes requests."""
    assert world.http_url is not None
    return world.http_url


@pytest.fixture
def post(world: World, url: str) -> Iterator[Post]:
    """Posts a body as Slack would, with another secret, age or headers where they are given."""
    with httpx.Client() as client:

        def send(
            body: bytes | str,
            *,
            kind: str | None = FORM,
            secret: str = world.slack.signing_secret,
            age_s: float = 0,
            headers: Mapping[str, str] | None = None,
        ) -> httpx.Response:
            content = body.encode() if isinstance(body, str) else body
            timestamp = str(int(world.slack.clock.now() - age_s))
            signed = {
                "X-Slack-Request-Timestamp": timestamp,
                "X-Slack-Signature": sign(secret, timestamp, content),
                **({"Content-Type": kind} if kind is not None else {}),
                **(headers or {}),
            }
            return client.post(url, content=content, headers=signed)

        yield send


def command(world: World, text: str, trigger: str = "1.2.abc") -> str:
    """A slash command of Ada's as Slack encodes it."""
    return urlencode(
        {
            "token": "t",
            "team_id": "T0001",
            "team_domain": "acme",
            "channel_id": "C0001",
            "channel_name": "checkout",
            "user_id": world.ada.id,
            "user_name": "ada",
            "command": "/incident",
            "text": text,
            "api_app_id": "A0001",
            "response_url": f"{world.slack.api_url}nowhere",
            "trigger_id": trigger,
        }
    )


def declared(world: World) -> int:
    with world.store.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM incident").scalar_one())


# --- who may ask at all ------------------------------------------------------------------------------------


def test_what_slack_signed_is_carried_out(world: World, post: Post) -> None:
    answer = post(command(world, "declare Payments fail"))
    assert answer.status_code == 200
    assert "Payments fail" in answer.text and declared(world) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "v1=" + "0" * 64},
        {"X-Slack-Signature": "v0=" + "ä" * 32},
        {"X-Slack-Request-Timestamp": ""},
        {"X-Slack-Request-Timestamp": "now"},
        {"X-Slack-Request-Timestamp": "1e9"},
        {"X-Slack-Request-Timestamp": "-1"},
        {"X-Slack-Request-Timestamp": "9" * 300},
    ],
)
def test_what_is_signed_badly_is_refused_and_not_carried_out(
    world: World, post: Post, headers: Mapping[str, str]
) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = post(command(world, "declare Payments fail"), headers=encoded)
    assert (answer.status_code, answer.json()) == (401, {"error": "not_signed_by_slack"})
    assert declared(world) == 0


def test_another_secret_or_none_is_refused(world: World, post: Post, url: str) -> None:
    body = command(world, "declare Payments fail")
    assert post(body, secret="another").status_code == 401
    assert httpx.post(url, content=body.encode(), headers={"Content-Type": FORM}).status_code == 401
    assert declared(world) == 0


def test_a_body_that_was_changed_on_the_way_is_refused(world: World, url: str) -> None:
    timestamp = str(int(world.slack.clock.now()))
    signature = sign(world.slack.signing_secret, timestamp, command(world, "list").encode())
    headers = {"Content-Type": FORM, "X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": signature}
    answer = httpx.post(url, content=command(world, "declare Payments fail").encode(), headers=headers)
    assert answer.status_code == 401 and declared(world) == 0


@pytest.mark.parametrize("age_s", [310, 86_400, -310])
def test_what_was_signed_long_ago_or_far_ahead_is_refused(world: World, post: Post, age_s: float) -> None:
    assert post(command(world, "declare Payments fail"), age_s=age_s).status_code == 401
    assert declared(world) == 0


# --- odd requests ------------------------------------------------------------------------------------------


def test_a_huge_body_is_refused(world: World, post: Post, url: str) -> None:
    assert post("x" * (1024 * 1024 + 1)).status_code == 413
    assert httpx.post(url, content=b"x" * 5000).status_code == 413
    assert post(command(world, "list")).status_code == 200


def test_what_is_no_text_is_refused(post: Post) -> None:
    assert post(b"\xff\xfe\x00").status_code in (400, 401)
    assert post(b"payload=%ff%fe").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        "{",
        '{"type":',
        "payload=",
        "payload={",
        "payload=[]",
        "payload=null",
        "payload=7",
        "payload=" + "[" * 100_000,
        "{" + '"a":{' * 50_000,
        "payload=%7B%22type%22%3A%22block_actions%22%7D",
        "payload=%7B%22type%22%3A%22view_submission%22%2C%22view%22%3A7%7D",
        '{"type":"event_callback"}',
        '{"type":"event_callback","event":[]}',
        '{"type":"event_callback","event":{"type":"message"}}',
        '{"type":["event_callback"]}',
        "command=/incident",
        "command=/incident&team_id=T0001",
        "",
        "a",
        "=&=&&",
        "text=list",
        "ssl_check=1",
    ],
)
def test_garbage_with_a_good_signature_is_answered_and_does_nothing(world: World, post: Post, body: str) -> None:
    before = state(world)
    answer = post(body, kind="application/json" if body.startswith("{") else FORM)
    assert answer.status_code in (200, 400)
    assert "Traceback" not in answer.text
    assert state(world) == before
    assert "No open incidents" in post(command(world, "list")).text


@pytest.mark.parametrize("kind", [None, "text/plain", "application/json", "multipart/form-data", "nonsense"])
def test_the_body_says_what_it_is_whatever_its_type(world: World, post: Post, kind: str | None) -> None:
    answer = post(command(world, "declare Payments fail"), kind=kind)
    assert answer.status_code == 200 and "Payments fail" in answer.text
    assert declared(world) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_only_posts_are_taken(url: str, method: str) -> None:
    assert httpx.request(method, url).status_code == 405


def test_a_challenge_is_echoed_and_only_to_slack(post: Post) -> None:
    body = json.dumps({"type": "url_verification", "token": "t", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY"})
    answer = post(body, kind="application/json")
    assert answer.status_code == 200 and "3eZbrw1aBm2rZgRNFdxV2595E9CY" in answer.text
    refused = post(body, kind="application/json", secret="another")
    assert refused.status_code == 401 and "3eZbrw1" not in refused.text


def test_slack_may_look_at_the_certificate_unsigned(url: str, world: World) -> None:
    assert httpx.post(url, content=b"ssl_check=1&token=t", headers={"Content-Type": FORM}).status_code == 200
    assert httpx.post(url, content=b"token=t&ssl_check=1", headers={"Content-Type": FORM}).status_code == 200
    hidden = command(world, "declare Payments fail") + "&ssl_check=1"
    assert httpx.post(url, content=hidden.encode(), headers={"Content-Type": FORM}).status_code == 401
    assert declared(world) == 0


# --- twice -------------------------------------------------------------------------------------------------


def test_a_command_that_comes_again_is_not_carried_out_again(world: World, post: Post) -> None:
    body = command(world, "declare Payments fail", "7.7.seven")
    retry = {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"}
    assert "Payments fail" in post(body).text
    for _ in range(3):
        assert post(body, headers=retry).status_code == 200
    assert declared(world) == 1
    comment = command(world, "comment 1 once only", "8.8.eight")
    for headers in ({}, retry, retry):
        assert post(comment, headers=headers).status_code == 200
    assert world.ask(world.ada, "activity 1").text.count("once only") == 1


def test_an_event_that_comes_again_is_not_carried_out_again(world: World) -> None:
    world.ada.tell_bot("declare project:checkout Payments fail")
    world.settle()
    assert declared(world) == 1
    said = next(one for one in reversed(world.slack.sent) if one.name.startswith("message"))
    for attempt in (1, 2):
        world.slack.redeliver(said, attempt=attempt, reason="http_timeout")
        world.settle()
    assert declared(world) == 1


# --- beside slow requests ----------------------------------------------------------------------------------


def test_slow_commands_hold_neither_health_nor_what_is_to_be_refused(world: World, url: str) -> None:
    people = [world.slack.person(f"U10{n:02}", f"Somebody {n}", f"{n}@elsewhere.test") for n in range(WORKERS)]
    held = world.slack.faults.hold("users.info")
    health = url.replace("/slack/events", "/healthz")
    with ThreadPoolExecutor(WORKERS) as many:
        asked = [many.submit(world.ask, person, "whoami") for person in people]
        world.slack.wait_until(lambda: len(world.slack.calls("users.info")) == WORKERS, what="all workers held")
        assert httpx.get(health).json() == {"status": "ok"}
        assert httpx.post(url, content=b"payload={").status_code == 401
        assert not any(one.done() for one in asked)
        world.slack.faults.remove(held)
        assert all("not a member" in one.result().text for one in asked)
