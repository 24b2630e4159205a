"""The sandbox's OAuth: the page where somebody allows, codes, tokens with their refusals, and the browser's way."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from sandbox import Sandbox
from sandbox.records import Json

BACK = "https://app.example/back"


@pytest.fixture
def slack() -> Iterator[Sandbox]:
    with Sandbox(installed=False) as sandbox:
        sandbox.person("U0001", "Ada Obi", "ada@acme.test")
        sandbox.oauth.redirect_urls = [BACK]
        yield sandbox


def page_url(slack: Sandbox, **changed: str) -> str:
    asked = {"client_id": slack.oauth.client_id, "scope": "commands,chat:write", "state": "s1", "redirect_uri": BACK}
    return f"{slack.platform.base_url}/oauth/v2/authorize?{urlencode({**asked, **changed})}"


def access(slack: Sandbox, secret: str | None = None, **given: str) -> Json:
    pair = f"{slack.oauth.client_id}:{secret or slack.oauth.client_secret}"
    headers = {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    answer: Json = httpx.post(f"{slack.api_url}oauth.v2.access", data=given, headers=headers).json()
    return answer


def code(slack: Sandbox) -> str:
    return parse_qs(urlsplit(slack.allow(slack.who("U0001"), page_url(slack))).query)["code"][0]


def test_somebody_allows_on_the_page_and_comes_back_with_code_and_state(slack: Sandbox) -> None:
    page = httpx.get(page_url(slack))
    assert "Ada Obi" in page.text and "<li>chat:write</li>" in page.text
    asked = urlsplit(page_url(slack)).query
    form = {"asked": asked, "who": "0 U0001", "answer": "allow"}
    url = f"{slack.platform.base_url}/oauth/v2/authorize"
    back = urlsplit(httpx.post(url, data=form).headers["location"])
    assert back.netloc == "app.example" and parse_qs(back.query)["state"] == ["s1"]
    assert access(slack, code=parse_qs(back.query)["code"][0])["scope"] == "chat:write,commands"
    denied = httpx.post(url, data={**form, "answer": "cancel"}).headers["location"]
    assert parse_qs(urlsplit(denied).query)["error"] == ["access_denied"]
    assert httpx.post(url, data=form, headers={"origin": "https://evil.test"}).status_code == 400


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"client_id": "1"}, "invalid_client_id"),
        ({"redirect_uri": "https://evil.test/"}, "bad_redirect_uri"),
        ({"redirect_uri": BACK + ".evil.test"}, "bad_redirect_uri"),
        ({"scope": ""}, "invalid_scope"),
    ],
)
def test_the_page_refuses_what_slack_refuses(slack: Sandbox, changed: dict[str, str], problem: str) -> None:
    page = httpx.get(page_url(slack, **changed))
    assert page.status_code == 400 and problem in page.text


def test_a_code_is_good_once_and_for_who_has_the_secret(slack: Sandbox) -> None:
    given = code(slack)
    assert access(slack, "wrong", code=given)["error"] == "bad_client_secret"
    assert access(slack, code=given, redirect_uri="https://app.example/other")["error"] == "bad_redirect_uri"
    answer = access(slack, code=given, redirect_uri=BACK)
    assert answer["token_type"] == "bot" and answer["team"]["id"] == "T0001" and "refresh_token" not in answer
    assert access(slack, code=given)["error"] == "code_already_used"
    late = code(slack)
    slack.clock.advance(601)
    assert access(slack, code=late)["error"] == "invalid_code"


def test_tokens_end_and_two_are_active_at_most(slack: Sandbox) -> None:
    slack.oauth.rotation = True
    first = access(slack, code=code(slack))
    second = access(slack, grant_type="refresh_token", refresh_token=first["refresh_token"])

    def works(token: str) -> str:
        found = httpx.post(f"{slack.api_url}auth.test", headers={"authorization": f"Bearer {token}"}).json()
        return "ok" if found["ok"] else str(found["error"])

    assert works(first["access_token"]) == works(second["access_token"]) == "ok"
    again = access(slack, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert again["ok"], "within the grace period"
    assert [works(one["access_token"]) for one in (first, second, again)] == ["token_revoked", "ok", "ok"]
    assert works(first["refresh_token"]) == "not_allowed_token_type"
    slack.clock.advance(61)
    used = access(slack, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert used["error"] == "invalid_refresh_token"
    slack.clock.advance(12 * 3600)
    assert works(again["access_token"]) == "token_expired"


def test_without_rotation_the_token_stays_until_the_app_is_removed(slack: Sandbox) -> None:
    first, again = access(slack, code=code(slack)), access(slack, code=code(slack))
    assert first["access_token"] == again["access_token"]
    slack.uninstall()
    after = access(slack, code=code(slack))
    assert after["access_token"] != first["access_token"]
