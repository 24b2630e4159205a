"""How the bot comes to its connection: it starts whatever becomes of the first attempts, and takes no for an answer."""

from __future__ import annotations

import signal

import httpx
import pytest

from bot.doctor import examine
from bot.doctor.finding import Finding
from bot.settings import Settings
from sandbox import Sandbox
from tests.patience import PATIENCE_S
from tests.slack.serving import Serve
from tests.stories.conftest import Cast

RECONNECTING = "reconnecting to Slack"


def test_it_starts_whatever_becomes_of_the_first_attempts(slack: Sandbox, cast: Cast, serve: Serve) -> None:
    method = "apps.connections.open"
    slack.faults.rate_limit(method, retry_after=1)
    slack.faults.fail(method, status=503)
    slack.faults.refuse(method, "internal_error")
    slack.faults.cut(method)
    bot = serve()
    lines = bot.said(RECONNECTING)
    reasons = [str(line["reason"]) for line in lines]
    assert float(str(lines[0]["next_try_s"])) >= 1  # what Retry-After said, and a little more
    assert reasons[0] == "ratelimited" and reasons[2] == "internal_error"
    assert len(reasons) == 4, reasons
    assert "No open incidents" in cast.ada.command("/incident", "list", channel=cast.checkout).text
    assert len(bot.said("ready")) == 1
    bot.process.send_signal(signal.SIGTERM)
    assert bot.end() == 0


def test_a_socket_that_does_not_open_is_tried_again(
    slack: Sandbox, cast: Cast, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack.platform.sockets, "ticket", lambda: "ticket=of-nobody")
    bot = serve(ready=False)
    assert "403" in str(bot.wait_for(RECONNECTING)["reason"])
    monkeypatch.undo()
    bot.wait_for("ready")
    slack.wait_until_connected(timeout=PATIENCE_S)
    assert "No open incidents" in cast.ada.command("/incident", "list", channel=cast.checkout).text


def test_a_refused_token_ends_it(slack: Sandbox, cast: Cast, serve: Serve) -> None:
    assert cast.ada
    slack.faults.refuse("apps.connections.open", "invalid_auth", times=None)
    bot = serve(ready=False)
    assert bot.end() == 2
    assert "SLACK_APP_TOKEN" in str(bot.lines[-1]["event"])


@pytest.mark.parametrize("reason", ["too_many_websockets", "link_disabled"])
def test_told_to_disconnect_it_waits_and_says_why(
    slack: Sandbox, cast: Cast, serve: Serve, database_url: str, reason: str
) -> None:
    bot = serve()
    slack.refuse_sockets(reason)
    slack.refresh_sockets(reason)
    tries = bot.wait_for_several(2, RECONNECTING, reason=f"Slack says {reason}")
    first, second = (float(str(line["next_try_s"])) for line in tries)
    assert first >= 0.5 and second >= 1  # and not a moment
    ready = httpx.get(f"{bot.url}/readyz")
    assert (ready.status_code, ready.json()["slack"]) == (503, f"not connected: Slack says {reason}")
    found = findings(slack, database_url)
    assert any(reason in one.says and one.fix for one in found if one.what == "SLACK_APP_TOKEN"), found
    slack.refuse_sockets(None)
    slack.wait_until_connected(timeout=PATIENCE_S)
    assert "No open incidents" in cast.ada.command("/incident", "list", channel=cast.checkout).text
    assert httpx.get(f"{bot.url}/readyz").json()["slack"] == "ok"


def findings(slack: Sandbox, database_url: str) -> list[Finding]:
    """What `doctor` says."""
    found: list[Finding] = []
    settings = Settings.model_validate(
        {
            "DATABASE_URL": database_url,
            "SLACK_API_URL": slack.api_url,
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
        }
    )
    examine(settings, found.append)
    return found
