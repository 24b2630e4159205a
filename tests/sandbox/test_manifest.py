"""What an app's manifest gives it in the workspace, and what of a manifest cannot be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sandbox import Sandbox, SandboxError
from tests.ending import SHOWS_STACKS, read_to_end

MANIFEST: dict[str, Any] = {
    "display_information": {"name": "Lamp"},
    "features": {
        "app_home": {"home_tab_enabled": True, "messages_tab_enabled": False},
        "slash_commands": [
            {"command": "/lamp", "description": "On and off", "usage_hint": "on", "should_escape": False}
        ],
        "shortcuts": [{"name": "Light", "type": "global", "callback_id": "light", "description": "Turns it on"}],
    },
    "oauth_config": {"scopes": {"bot": ["commands", "chat:write"]}},
    "settings": {"event_subscriptions": {"bot_events": ["app_mention"]}},
}


def test_an_app_gets_what_its_manifest_asks_for() -> None:
    with Sandbox() as slack:
        slack.install(MANIFEST)
        app, menu = slack.platform.app, slack.platform.menu
    assert app.name == slack.platform.workspace.users[slack.bot_user_id].real_name == "Lamp"
    assert app.scopes == {"commands", "chat:write"}
    assert app.events == {"app_mention"}
    assert (app.home_tab, app.messages_tab, app.should_escape) == (True, False, False)
    assert menu.commands == [{"name": "/lamp", "description": "On and off", "hint": "on"}]
    assert [shortcut["callback_id"] for shortcut in menu.shortcuts] == ["light"]


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ({"features": []}, ""),
        ({"features": "x"}, "features of the manifest is no object"),
        ({"features": {"slash_commands": [1]}}, "slash_commands of the manifest is no list of objects"),
        ({"features": {"shortcuts": [{"type": "other"}]}}, "neither of type global nor message"),
    ],
)
def test_what_cannot_be_used_is_named(manifest: dict[str, Any], sentence: str) -> None:
    slack = Sandbox()
    if not sentence:
        slack.install(manifest)
        return
    with pytest.raises(SandboxError, match=sentence):
        slack.install(manifest)


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_alone_with_a_manifest(tmp_path: Path, write: Any) -> None:
    path = tmp_path / "manifest"
    path.write_text(write(MANIFEST), "utf-8")
    command = [sys.executable, "-m", "sandbox", "--manifest", str(path)]
    environment = {**os.environ, **SHOWS_STACKS}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(5)]
        page = said[-1].split()[-1]
        assert "<!doctype html>" in httpx.get(page).text
        process.send_signal(signal.SIGTERM)
        code, _, errors = read_to_end(process)
    assert (code, errors) == (0, "")


@pytest.mark.parametrize(("text", "sentence"), [("[1]", "holds no object"), ("{", "neither JSON nor YAML")])
def test_alone_with_something_else(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "manifest"
    path.write_text(text, "utf-8")
    command = [sys.executable, "-m", "sandbox", "--manifest", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""
