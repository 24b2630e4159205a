"""`doctor` looks for the workspace of SLACK_BOT_TOKEN in every cell."""

from __future__ import annotations

import pytest

from sandbox import Sandbox
from tests.cells.test_moving_refused import Databases, databases
from tests.stories.conftest import populate

__all__ = ["databases"]


def test_the_workspace_of_the_token_is_checked_in_the_cell_that_has_it(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.move("two")
    with Sandbox() as slack:
        populate(slack)
        monkeypatch.setenv("SLACK_API_URL", slack.api_url)
        monkeypatch.setenv("SLACK_BOT_TOKEN", slack.bot_token)
        _, found, _ = databases.run("doctor")
        assert "two: organization: Acme, 1 member, 1 project" in found
        assert "belongs to none" not in found
        monkeypatch.setenv("TOCSIN_CELLS", "two=postgresql://nobody@127.0.0.1:1/none")
        _, found, _ = databases.run("doctor")
        assert "two: database: cannot be used" in found
        assert "belongs to none" not in found
