"""Somebody else's Bolt program on the sandbox: another process, its manifest, and the base URL is all it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.ending import SHOWS_STACKS, wait_for_end
from tests.sandbox.starter import MANIFEST

ROOT = Path(__file__).parents[2]


@pytest.fixture
def slack() -> Iterator[Sandbox]:
    """A workspace with the app in it, running."""
    with Sandbox() as slack:
        slack.install(MANIFEST)
        environment = {
            **os.environ,
            "SLACK_API_URL": slack.api_url,
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            **SHOWS_STACKS,
        }
        with subprocess.Popen([sys.executable, "-m", "tests.sandbox.starter"], cwd=ROOT, env=environment) as app:
            slack.wait_until_connected()
            yield slack
            slack.hang_up()
            app.terminate()
            wait_for_end(app, lambda: "(Its stacks are on stderr.)")
        slack.expect_no_problems()


def test_everything_that_a_starter_shows_works(slack: Sandbox) -> None:
    ada = slack.person("U0001", "Ada Obi")
    general = slack.channel("C0001", "general")

    ada.command("/echo", "out loud", channel=general)
    ada.wait_for_message(general, containing="You said out loud")
    ada.say(general, "hello all")
    ada.wait_for_message(general, containing="hello, how are you?")

    ada.shortcut("ask")
    form = ada.wait_for_form("Ask")
    ada.press(form, "Suggest")
    slack.wait_until(lambda: "Whether it rains." in form.text)
    form.fill("Question", "will it rain?")
    form.choose("Where", general)
    assert form.submit().closed
    ada.wait_for_message(general, containing="@Ada Obi asks: will it rain?")

    ada.opens_home()
    ada.wait_for_home(containing="Welcome, @Ada Obi")
