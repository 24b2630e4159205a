"""Every `/incident` command that a page shows is understood."""

from __future__ import annotations

import re
from pathlib import Path

from tests.stories.conftest import ORGANIZATION, World

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MISTAKE = re.compile(r"Like this:|[Dd]id you mean|There is no (?!(digest|silence) \d)|went wrong")


def _documented() -> list[str]:
    """The lines of the pages' code blocks that a person types in Slack."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [
        line.strip()
        for page in pages
        for block in BLOCK.findall(page.read_text(encoding="utf-8"))
        for line in block.splitlines()
    ]
    return list(dict.fromkeys(line.removeprefix("/incident ") for line in lines if line.startswith("/incident ")))


def test_every_command_of_the_pages_is_understood(world: World) -> None:
    world.apply(ORGANIZATION.replace("slack_usergroup: S0001", "slack_usergroup: S0001, oncall_usergroup: S0001"))
    commands = _documented()
    assert {"list", "ack 12", "whoami"} <= set(commands)
    highest = max(int(number) for command in commands for number in re.findall(r"\b\d{1,2}\b", command.split('"')[0]))
    for number in range(highest):
        assert world.declare(f"Checkout fails on host {number}") == number + 1
    answers = {command: world.ask(world.ada, command).text for command in commands}
    assert {command: answer for command, answer in answers.items() if MISTAKE.search(answer)} == {}
