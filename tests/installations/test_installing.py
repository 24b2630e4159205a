"""Installing the bot by OAuth: in a workspace of the organization file, in others, again, and every way to cheat."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import select, text

from bot.slack.manifest import SCOPES
from storage.models import Installation
from storage.queries import installations as queries
from tests.installations.conftest import Cloud
from tests.stories.conftest import ORGANIZATION

GLOBEX = """
organization: {slug: globex, name: Globex, workspaces: [T0002]}
members:
  - {email: zoe@acme.test, name: Zoe Lab, slack: U0021, role: owner}
"""


def installed(cloud: Cloud) -> list[str]:
    with cloud.store.read() as connection:
        return sorted(queries.list_versions(connection))


def test_a_workspace_of_the_organization_file_works_once_it_is_installed(cloud: Cloud) -> None:
    cloud.apply()
    page = cloud.install(cloud.first, cloud.cast.ben)
    assert page.status == 200 and "Tocsin is installed in Acme" in page.text and "Everything is ready" in page.text
    assert "#1 Payments fail" in cloud.ask(cloud.cast.ada, "declare project:checkout Payments fail").text
    card = cloud.cast.ben.wait_for_message(cloud.cast.checkout, containing="#1 Payments fail")
    cloud.cast.ben.press(card, "Acknowledge")
    card.wait_for(lambda shown: "Seen by Ben Tal" in shown.text)


def test_slack_is_asked_for_what_the_bot_needs_and_nothing_else(cloud: Cloud) -> None:
    page, cookie, url = cloud.begin("?redirect_uri=https://evil.test/&team=T1%26redirect_uri%3Dhttps://evil.test")
    asked = parse_qs(urlsplit(url).query)
    assert set(asked["scope"][0].split(",")) == set(SCOPES)
    assert "user_scope" not in asked and "team" not in asked, "blank or unsafe values are not passed on"
    assert asked["redirect_uri"] == [f"{cloud.url}/slack/oauth_redirect"]
    assert "evil" not in url
    assert cookie == f"tocsin-oauth-state={asked['state'][0]}"
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Max-Age=600"):
        assert attribute in page.headers["set-cookie"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


def test_the_workspace_can_be_chosen_beforehand(cloud: Cloud) -> None:
    _, _, url = cloud.begin("?team=T0002")
    assert parse_qs(urlsplit(url).query)["team"] == ["T0002"]


def test_whoever_installs_first_is_connected_to_nothing(cloud: Cloud) -> None:
    cloud.apply()
    page = cloud.install(cloud.second, cloud.zoe)
    assert "Tocsin is installed in Labs" in page.text and "not connected to an organization yet" in page.text
    assert "not connected to an organization yet" in cloud.ask(cloud.zoe, "list").text
    assert cloud.find_organization("T0002") is None


def test_a_state_is_good_for_once_in_its_browser_and_for_ten_minutes(cloud: Cloud) -> None:
    _, cookie, authorize_url = cloud.begin()
    url = cloud.first.allow(cloud.cast.ben, authorize_url)
    for wrong in ("", "tocsin-oauth-state=another"):
        page = cloud.come_back(url, wrong)
        assert page.status == 400 and "not begun in this browser" in page.text
    assert installed(cloud) == []
    assert cloud.come_back(url, cookie).status == 200
    again = cloud.come_back(url, cookie)
    assert again.status == 400 and "has expired or was already completed" in again.text
    forged = cloud.come_back(url.replace("state=", "state=x"), cookie.replace("state=", "state=x"))
    assert forged.status == 400 and "has expired or was already completed" in forged.text
    _, cookie, authorize_url = cloud.begin()
    url = cloud.first.allow(cloud.cast.ben, authorize_url)
    cloud.store.clock.offset += timedelta(minutes=10, seconds=1)
    assert "has expired" in cloud.come_back(url, cookie).text


def test_a_code_is_good_for_once(cloud: Cloud) -> None:
    _, cookie, authorize_url = cloud.begin()
    used = cloud.first.allow(cloud.cast.ben, authorize_url)
    assert cloud.come_back(used, cookie).status == 200
    _, cookie, authorize_url = cloud.begin()
    fresh = cloud.first.allow(cloud.cast.ben, authorize_url)
    code, state = parse_qs(urlsplit(used).query)["code"][0], parse_qs(urlsplit(fresh).query)["state"][0]
    page = cloud.come_back(f"{cloud.url}/slack/oauth_redirect?code={code}&state={state}", cookie)
    assert page.status == 400 and "Slack did not accept the installation" in page.text


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ("?error=access_denied", 200, "cancelled in Slack"),
        ("?error=%3Cscript%3E", 200, "Slack reported a problem"),
        ("", 400, "not begun in this browser"),
        ("?code=1&state=" + "x" * 9000, 400, "not begun in this browser"),
    ],
)
def test_a_broken_return_is_answered_in_a_sentence(cloud: Cloud, query: str, status: int, sentence: str) -> None:
    page = cloud.come_back(f"{cloud.url}/slack/oauth_redirect{query}", "tocsin-oauth-state=x")
    assert page.status == status and sentence in page.text and "<script" not in page.html
    assert installed(cloud) == []


def test_a_missing_code_is_said(cloud: Cloud) -> None:
    _, cookie, url = cloud.begin()
    state = parse_qs(urlsplit(url).query)["state"][0]
    page = cloud.come_back(f"{cloud.url}/slack/oauth_redirect?state={state}", cookie)
    assert page.status == 400 and "Slack sent no code" in page.text


@pytest.mark.parametrize("flag", ["restricted", "ultra_restricted"])
def test_a_guest_cannot_install(cloud: Cloud, flag: str) -> None:
    guest = cloud.first.person("U0030", "Gus Guest", "gus@else.test", **{flag: True})  # type: ignore[arg-type]
    page = cloud.install(cloud.first, guest)
    assert page.status == 403 and "Guests cannot install" in page.text
    assert installed(cloud) == []
    (revoked,) = cloud.first.calls("auth.revoke")
    assert revoked == {}


def test_a_guest_does_not_end_the_installation_of_somebody_else(cloud: Cloud) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    guest = cloud.first.person("U0030", "Gus Guest", "gus@else.test", restricted=True)
    assert "Guests cannot install" in cloud.install(cloud.first, guest).text
    assert cloud.first.calls("auth.revoke") == []
    assert "No open incidents" in cloud.ask(cloud.cast.ben, "list").text
    with cloud.store.read() as connection:
        assert connection.scalar(select(Installation.installed_by)) == cloud.cast.ben.id


def test_fewer_permissions_than_needed_install_nothing(cloud: Cloud) -> None:
    _, cookie, url = cloud.begin()
    page = cloud.come_back(
        cloud.first.allow(cloud.cast.ben, url.replace("chat%3Awrite,", "").replace("chat:write,", "")), cookie
    )
    assert page.status == 403 and "did not grant all permissions" in page.text
    assert installed(cloud) == []


def test_installing_again_brings_new_permissions(cloud: Cloud) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    with cloud.store.write() as tx:
        tx.execute(text("UPDATE installation SET scopes = 'commands'"))  # as an earlier version had asked for
    before = cloud.bot.clients.find("T0001")
    page = cloud.install(cloud.first, cloud.cast.ada)
    assert "Everything is ready" in page.text
    with cloud.store.read() as connection:
        row = connection.execute(select(Installation)).one()
    assert set(row.scopes.split(",")) == set(SCOPES) and row.installed_by == cloud.cast.ada.id
    after = cloud.bot.clients.find("T0001")
    assert before and after and after.client.token != before.client.token, "with rotation each has a token of its own"
    assert "No open incidents" in cloud.ask(cloud.cast.ben, "list").text


def test_slack_away_is_said_and_the_link_can_be_used_again(cloud: Cloud) -> None:
    _, cookie, url = cloud.begin()
    target = cloud.first.allow(cloud.cast.ben, url)
    cloud.first.faults.fail("oauth.v2.access", status=503)
    page = cloud.come_back(target, cookie)
    assert page.status == 503 and "Slack did not answer. Nothing was installed." in page.text
    assert installed(cloud) == []
    assert cloud.install(cloud.first, cloud.cast.ben).status == 200


def test_no_token_or_code_is_in_a_log_line(cloud: Cloud, capfd: pytest.CaptureFixture[str]) -> None:
    cloud.install(cloud.first, cloud.cast.ben)
    _, cookie, url = cloud.begin()
    bad = cloud.first.allow(cloud.cast.ben, url).replace("code=", "code=9")
    cloud.come_back(bad, cookie)
    logged = "".join(capfd.readouterr())
    assert "the app was installed" in logged and "Slack did not accept the code" in logged
    assert "xoxe" not in logged and parse_qs(urlsplit(bad).query)["code"][0] not in logged


def test_the_routes_are_not_there_without_a_client_id(cloud: Cloud) -> None:
    from bot.intake.http import create_http_app
    from bot.intake.server import HttpServer

    server = HttpServer(create_http_app(cloud.store, slack_problem=lambda: None), "127.0.0.1", 0)
    server.start()
    assert httpx.get(f"http://127.0.0.1:{server.port}/slack/install").status_code == 404
    server.stop()


def test_an_invitation_for_a_workspace_of_another_organization_is_refused(cloud: Cloud) -> None:
    cloud.apply(ORGANIZATION)
    cloud.apply(GLOBEX)
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe)
    acme, globex = cloud.find_organization("T0001"), cloud.find_organization("T0002")
    page = cloud.install(cloud.second, cloud.zoe, cloud.invite(cloud.cast.ada))
    assert page.status == 403 and "already belongs to another organization" in page.text
    assert "Globex" not in page.text
    assert (cloud.find_organization("T0001"), cloud.find_organization("T0002")) == (acme, globex)
    assert "Globex" in cloud.ask(cloud.zoe, "whoami").text, "the installation of before goes on"
