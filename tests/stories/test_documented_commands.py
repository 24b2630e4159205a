"""Every `/incident` command that a page shows is understood."""

from __future__ import annotations

import re
from pathlib import Path

from tests.stories.conftest import World

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MISTAKES = ("Like this:", "Did you mean", "There is no", "went wrong", "not a command")


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
    commands = _documented()
    assert {"list", "ack 12", "whoami"} <= set(commands)
    highest = max(int(number) for command in commands for number in re.findall(r"\b\d{1,2}\b", command.split('"')[0]))
    for number in range(highest):
        assert world.declare(f"Checkout fails on host {number}") == number + 1
    digest = re.search(r"digest (\d+)", world.ask(world.ada, 'digest add "every day at 9"').text)
    assert digest
    wrong = {}
    for command in commands:
        answer = world.ask(world.ada, re.sub(r"^(digest \w+) \d+", rf"\1 {digest[1]}", command)).text
        if any(mistake in answer for mistake in MISTAKES):
            wrong[command] = answer
    assert wrong == {}
