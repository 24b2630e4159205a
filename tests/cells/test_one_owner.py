"""A workspace belongs to one organization, whichever cells there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from slack_sdk.oauth.installation_store import Installation
from sqlalchemy import text

from bot.cells.directory import CellDirectory
from bot.cells.installing import CellCompletion
from bot.installations.completion import Completion, NotInstallable
from bot.installations.invitations import Invitation
from tests.cells.conftest import ACME, find
from tests.cells.test_moving_refused import ORGANIZATIONS, Databases, databases

__all__ = ["databases"]


def test_a_workspace_of_an_organization_in_another_cell_is_not_given_to_a_new_one(
    databases: Databases, tmp_path: Path
) -> None:
    databases.move("two")
    file = tmp_path / "other.yaml"
    file.write_text(ACME.replace("acme, name: Acme", "other, name: Other"))
    code, _, errors = databases.run("apply", str(file))
    assert (code, "T0001 belongs to the organization acme" in errors) == (2, True)
    assert find(databases.first, ORGANIZATIONS) == 0


def test_an_import_does_not_take_the_workspace_of_an_organization_in_another_cell(
    databases: Databases, tmp_path: Path
) -> None:
    databases.move("two")
    file = tmp_path / "acme.jsonl"
    assert databases.run("export", str(file))[0] == 0
    file.write_text(file.read_text().replace('"acme"', '"globex"'))
    code, _, errors = databases.run("import", str(file))
    assert (code, "the workspace T0001 belongs to another organization already" in errors) == (2, True)
    assert find(databases.first, ORGANIZATIONS) == 0


@pytest.mark.parametrize(("disconnected", "reason"), [(False, "other_organization"), (True, None)])
def test_an_invitation_for_a_workspace_of_another_cell(
    databases: Databases, disconnected: bool, reason: str | None
) -> None:
    databases.move("two")
    if disconnected:
        with databases.two.write() as tx:
            tx.execute(text("UPDATE workspace SET date_disconnected = now()"))
    completed: list[Installation] = []

    class Inviting:
        def find_inviting_organization(self, _invitation: Invitation) -> str | None:
            return "Other"

        def complete(self, installation: Installation, _invitation: Invitation | None) -> bool:
            completed.append(installation)
            return True

    unused: Any = None
    cells = {
        "default": cast("Completion", Inviting()),
        "two": Completion(databases.two, unused, api_url="", on_change=unused),
    }
    completion = CellCompletion(CellDirectory({"default": databases.first, "two": databases.two}), lambda: cells)
    installation = Installation(user_id="U0001", team_id="T0001")
    try:
        completion.complete(installation, Invitation(1, 1, "T0001", "U0001"))
    except NotInstallable as refusal:
        assert (refusal.reason, completed) == (reason, [])
    else:
        assert (reason, completed) == (None, [installation])
