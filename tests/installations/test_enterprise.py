"""An Enterprise organization: the bot is installed for all of it, and its workspaces come and go one by one."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from storage.models import InstallationWorkspace, Workspace, WorkspaceRequest
from tests.installations.conftest import Cloud
from tests.stories.conftest import ORGANIZATION

IN_AN_ENTERPRISE = pytest.mark.parametrize("cloud", ["E0001"], indirect=True)
pytestmark = IN_AN_ENTERPRISE
WIM = "  - {email: wim@acme.test, name: Wim Wide, slack: W0001, role: owner, teams: [payments]}\n"


@pytest.fixture
def installed(cloud: Cloud) -> Cloud:
    """Acme's first workspace is named by the file, and the bot is installed for the whole Enterprise organization."""
    cloud.apply(ORGANIZATION + WIM)
    page = cloud.install(cloud.first, cloud.cast.ben, for_enterprise=True)
    assert page.status == 200 and "Tocsin is installed in Acme Group" in page.text
    return cloud


def workspaces(cloud: Cloud) -> list[str]:
    with cloud.store.read() as connection:
        return list(connection.scalars(select(InstallationWorkspace.workspace_id).order_by("workspace_id")))


def test_everything_works_with_the_token_of_the_enterprise_organization(installed: Cloud) -> None:
    cloud, cast = installed, installed.cast
    wim = cloud.first.person("W0001", "Wim Wide", "wim@acme.test")
    cloud.ask(wim, "declare project:checkout Payments fail")
    card = cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail")
    cast.ben.press(card, "Acknowledge")
    card.wait_for(lambda shown: "Seen by Ben Tal" in shown.text)
    wim.press(card, "Resolve")
    assert wim.wait_for_form("Resolve #1").fill("Comment", "rolled back").submit().closed
    card.wait_for(lambda shown: "Resolved" in shown.text)
    cast.ben.reply(card, "thank you")
    cast.ben.react(card, "eyes")
    cloud.settle()
    assert "thank you" in cloud.ask(wim, "activity 1").text
    cast.ben.opens_home()
    assert "No open incidents" in cast.ben.wait_for_home().text
    cast.ben.mention_bot(cast.checkout, "list all")
    assert cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail")
    sent = [exchange.sent for exchange in cloud.first.sent]
    assert any(one.get("is_enterprise_install") == "true" for one in sent)
    assert all(one["team"] is None for one in sent if one.get("type") == "view_submission")
    assert any(one["view"]["app_installed_team_id"] == "E0001" for one in sent if one.get("type") == "view_submission")


def test_usergroups_are_asked_for_with_the_workspace(installed: Cloud) -> None:
    client = installed.bot.clients.find("T0001")
    assert client is not None
    assert client.client.usergroups_users_list(usergroup="S0001")["users"] == ["U0001", "U0002"]
    assert installed.first.calls("usergroups.users.list")[-1]["team_id"] == "T0001"


def test_a_workspace_is_granted_connected_by_an_owner_and_withdrawn(cloud: Cloud) -> None:
    ada = cloud.cast.ada
    cloud.apply(ORGANIZATION + "  - {email: zoe@acme.test, name: Zoe Lab, role: member, teams: [payments]}\n")
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.first, cloud.cast.ben, cloud.invite(ada), for_enterprise=True)
    cloud.second.grant()
    cloud.settle()
    assert workspaces(cloud) == ["T0001", "T0001", "T0002"]
    assert "not connected" in cloud.ask(cloud.zoe, "list").text
    told = ada.wait_for_message(containing="Tocsin was added to 1 more workspace")
    ada.press(told, "Workspaces")
    listed = ada.wait_for_message(containing="Labs (T0002)")
    ada.press(listed, "Connect")
    listed.wait_for(lambda message: "You connected Labs (T0002) to Acme." in message.text)
    assert "No open incidents" in cloud.ask(cloud.zoe, "list").text
    cloud.second.withdraw()
    cloud.settle()
    assert cloud.bot.clients.find("T0002") is None and cloud.bot.clients.find("T0001") is not None
    with cloud.store.read() as connection:
        reason = connection.scalar(select(Workspace.paused_reason).where(Workspace.id == "T0002"))
        entries = connection.execute(text("SELECT after FROM audit_entry WHERE origin = 'oauth'")).scalars().all()
    assert reason == "team_access_revoked"
    assert any(entry.get("reason") == "team_access_revoked" for entry in entries)
    assert "No open incidents" in cloud.ask(ada, "list").text
    cloud.second.grant()
    cloud.settle()
    assert "No open incidents" in cloud.ask(cloud.zoe, "list").text, "it is still connected"


def test_a_granted_workspace_that_nobody_invited_waits_for_nobody(installed: Cloud) -> None:
    installed.second.grant()
    installed.settle()
    assert workspaces(installed) == ["T0001", "T0002"]
    with installed.store.read() as connection:
        assert connection.scalars(select(WorkspaceRequest.workspace_id)).all() == []
    assert "not connected" in installed.ask(installed.zoe, "list").text


def test_the_end_of_the_enterprise_installation_ends_all_of_it(installed: Cloud) -> None:
    installed.second.grant()
    installed.settle()
    installed.first.uninstall()
    installed.settle()
    assert installed.bot.clients.all() == []


def test_a_workspace_falls_back_on_its_own_installation(cloud: Cloud) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.first, cloud.cast.ada, for_enterprise=True)
    found = cloud.bot.clients.find("T0001")
    assert found and found.installation_id == "E0001"
    cloud.first.withdraw()
    cloud.settle()
    found = cloud.bot.clients.find("T0001")
    assert found and found.installation_id == "T0001"
    assert "No open incidents" in cloud.ask(cloud.cast.ben, "list").text
