"""The whole bot behind a proxy that wants a password: Slack has a name that only the proxy can reach."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from sandbox import Sandbox
from tests.ending import run_to_end
from tests.patience import PATIENCE_S
from tests.slack.proxy import running_proxy
from tests.slack.serving import ROOT, Serve
from tests.stories.conftest import OVER_TLS, Cast

PASSWORD = "p@ss:word"
AUTHORIZATION = f"Basic {base64.b64encode(f'ada:{PASSWORD}'.encode()).decode()}"


@OVER_TLS
def test_everything_goes_by_the_proxy(slack: Sandbox, cast: Cast, serve: Serve) -> None:
    slack.platform.base_url = f"https://slack.test:{slack.port}"
    with running_proxy(slack.port, AUTHORIZATION) as (port, asked):
        bot = serve(environment={"HTTPS_PROXY": f"http://ada:p%40ss%3Aword@127.0.0.1:{port}"})
        cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
        card = cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail", timeout=PATIENCE_S)
        cast.ben.press(card, "Comment")  # opens a form by the Web API
        cast.ben.wait_for_form("Comment #1").fill("Comment", "Looking").submit()
        slack.settle()
        assert set(asked) == {f"CONNECT slack.test:{slack.port}"}
        assert not [line for line in bot.lines if PASSWORD in str(line) or "p%40ss" in str(line)]


@OVER_TLS
def test_doctor_says_what_the_proxy_answers(slack: Sandbox, cast: Cast, database_url: str, tmp_path: Path) -> None:
    slack.platform.base_url = f"https://slack.test:{slack.port}"
    assert cast.ada
    with running_proxy(slack.port, AUTHORIZATION) as (port, _):

        def examine(**variables: str) -> str:
            environment = {
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(tmp_path),
                "PYTHONPATH": str(ROOT),
                "DATABASE_URL": database_url,
                "SLACK_API_URL": slack.api_url,
                "SLACK_BOT_TOKEN": slack.bot_token,
                "SLACK_APP_TOKEN": slack.app_token,
                "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
                **variables,
            }
            done = run_to_end(["-m", "bot.cli", "doctor"], env=environment, cwd=tmp_path)
            assert "Traceback" not in done.stderr
            return done.stdout

        proxy = f"127.0.0.1:{port}"
        assert "ok     SLACK_APP_TOKEN: opens a connection" in examine(HTTPS_PROXY=f"http://ada:p%40ss%3Aword@{proxy}")
        refused = examine(HTTPS_PROXY=f"http://{proxy}")
        assert "FAULT  Slack: cannot be reached" in refused and "407" in refused and "proxy" in refused
        direct = examine(HTTPS_PROXY=f"http://ada:p%40ss%3Aword@{proxy}", NO_PROXY="slack.test")
        assert "FAULT  Slack: cannot be reached" in direct
