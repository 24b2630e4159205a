"""A workspace is connected to an organization by an owner of it, in Slack, and by nobody else."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from sandbox import Person, SeenMessage
from storage.models import Workspace, WorkspaceRequest
from tests.installations.conftest import Cloud
from tests.installations.test_installing import GLOBEX
from tests.stories.conftest import ORGANIZATION

ZOE = "  - {email: zoe@acme.test, name: Zoe Lab, role: member, teams: [payments]}\n"


def shown(cloud: Cloud, person: Person, words: str = "workspaces") -> SeenMessage:
    answer = cloud.ask(person, words)
    assert answer.message is not None
    return answer.message


@pytest.fixture
def waiting(cloud: Cloud) -> Cloud:
    """Acme has its first workspace by `apply`; the second was installed by its owner's invitation, and waits."""
    cloud.apply(ORGANIZATION + ZOE)
    cloud.install(cloud.first, cloud.cast.ben)
    page = cloud.install(cloud.second, cloud.zoe, cloud.invite(cloud.cast.ada))
    assert "An owner of Acme now connects it" in page.text
    return cloud


def test_an_owner_invites_a_workspace_and_connects_it(waiting: Cloud) -> None:
    cloud, ada = waiting, waiting.cast.ada
    assert "not connected to an organization yet" in cloud.ask(cloud.zoe, "list").text
    told = ada.wait_for_message(containing="Tocsin was installed in Labs (T0002)")
    ada.press(told, "Workspaces")
    listed = ada.wait_for_message(containing="waits to be connected")
    assert "1 workspace of Acme" in listed.text and "Labs (T0002)" in listed.text
    ada.press(listed, "Connect")
    listed.wait_for(lambda message: "You connected Labs (T0002) to Acme." in message.text)
    assert "Zoe Lab" in cloud.ask(cloud.zoe, "whoami").text
    assert "#1 Payments fail" in cloud.ask(cloud.zoe, "declare project:checkout Payments fail").text
    assert "2 workspaces of Acme" in shown(cloud, ada).text
    with cloud.store.read() as connection:
        assert connection.scalar(select(Workspace.connected_in_slack).where(Workspace.id == "T0002"))
        entry = connection.execute(
            text("SELECT * FROM audit_entry WHERE action = 'workspace.add' AND origin = 'slack'")
        ).one()
    assert entry.subject == "T0002" and entry.workspace_id == "T0001"


def test_the_page_says_for_which_organization_it_is(cloud: Cloud) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    page, _, _ = cloud.begin(cloud.invite(cloud.cast.ada))
    assert "An owner of <b>Acme</b> asks you" in page.text


@pytest.mark.parametrize("who", ["ben", "dan", "sue"])
def test_only_owners_see_and_connect_workspaces(waiting: Cloud, who: str) -> None:
    person = getattr(waiting.cast, who)
    assert "Only owners of the organization" in waiting.ask(person, "workspaces").text
    waiting.ask(waiting.cast.ada, "workspaces")
    press(waiting, waiting.cast.ada, "Connect", by=person)
    assert waiting.find_organization("T0002") is None


def press(cloud: Cloud, owner: Person, label: str, *, by: Person | None = None, workspace: str | None = None) -> None:
    """The owner's button, pressed as it was drawn, or replayed by somebody else or for another workspace."""
    listed = shown(cloud, owner)
    if by is None and workspace is None:
        owner.press(listed, label)
        cloud.settle()
        return
    control, block_id = next(
        (element, block["block_id"])
        for block in listed.record.body["blocks"]
        for element in (*block.get("elements", ()), block.get("accessory"))
        if element and element.get("text", {}) and label in str(element["text"])
    )
    before = [e.sent for e in cloud.first.sent if e.sent.get("command")][-1]
    payload = {
        "type": "block_actions",
        "user": {"id": owner.id, "username": "x", "name": "x", "team_id": "T0001"},
        "api_app_id": before["api_app_id"],
        "token": before["token"],
        "container": {
            "type": "message",
            "message_ts": listed.ts,
            "channel_id": before["channel_id"],
            "is_ephemeral": True,
        },
        "trigger_id": before["trigger_id"],
        "team": {"id": "T0001", "domain": "acme"},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": before["channel_id"], "name": "directmessage"},
        "state": {"values": {}},
        "response_url": before["response_url"],
        "actions": [
            {
                "type": "button",
                "action_id": control["action_id"],
                "block_id": block_id,
                "value": control["value"] if workspace is None else workspace,
                "text": control["text"],
                "action_ts": "1.1",
            }
        ],
    }
    payload = copy.deepcopy(payload)
    if by is not None:
        payload["user"] |= {"id": by.id}
    (by or owner).replay(payload)
    cloud.settle()
    cloud.first.problems.take("no_original")  # the sandbox draws an answer in place of what was not pressed really


def test_what_does_not_wait_cannot_be_connected(waiting: Cloud) -> None:
    press(waiting, waiting.cast.ada, "Connect", workspace="T0404")
    press(waiting, waiting.cast.ada, "Connect", workspace="T0002' OR true")
    press(waiting, waiting.cast.ada, "Connect", workspace="")
    with waiting.store.read() as connection:
        assert connection.scalars(select(Workspace.id)).all() == ["T0001"]


def test_an_owner_of_another_organization_cannot_connect_it(waiting: Cloud) -> None:
    """Globex takes its own workspace by the file; its owner finds nothing of Acme's there."""
    cloud = waiting
    cloud.apply(GLOBEX.replace("workspaces: [T0002]", "workspaces: [T0099]"))
    assert "not connected" in cloud.ask(cloud.zoe, "workspaces").text
    with cloud.store.read() as connection:
        (request,) = connection.execute(select(WorkspaceRequest))
    assert request.workspace_id == "T0002"


def test_a_workspace_that_another_organization_got_first_is_refused(waiting: Cloud) -> None:
    cloud, ada = waiting, waiting.cast.ada
    listed = shown(cloud, ada)
    cloud.apply(GLOBEX)
    ada.press(listed, "Connect")
    ada.wait_for_message(containing="already belongs to another organization")
    assert cloud.find_organization("T0002") != cloud.find_organization("T0001")
    assert "Globex" in cloud.ask(cloud.zoe, "whoami").text


def test_connecting_twice_changes_nothing(waiting: Cloud) -> None:
    cloud, ada = waiting, waiting.cast.ada
    one, two = shown(cloud, ada), shown(cloud, ada)
    ada.press(one, "Connect")
    one.wait_for(lambda message: "You connected" in message.text)
    ada.press(two, "Connect")
    ada.wait_for_message(containing="does not wait to be connected")


def test_an_owner_declines(waiting: Cloud) -> None:
    cloud, ada = waiting, waiting.cast.ada
    listed = shown(cloud, ada)
    ada.press(listed, "Decline")
    listed.wait_for(lambda message: "You declined Labs (T0002)" in message.text)
    assert "not connected" in cloud.ask(cloud.zoe, "list").text
    assert "waits" not in shown(cloud, ada).text


def test_who_is_no_owner_any_more_connects_nothing(waiting: Cloud) -> None:
    cloud, ada = waiting, waiting.cast.ada
    listed = shown(cloud, ada)
    cloud.apply(
        (ORGANIZATION + ZOE)
        .replace("U0001, role: owner", "U0001, role: manager")
        .replace("role: manager}", "role: owner}")
    )
    ada.press(listed, "Connect")
    ada.wait_for_message(containing="Only owners of the organization")
    assert cloud.find_organization("T0002") is None


def test_an_invitation_ends_after_a_day_and_with_the_role_of_who_made_it(cloud: Cloud) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    link = cloud.invite(cloud.cast.ada)
    assert cloud.begin(link)[0].status_code == 200
    for broken in (link[:-3], link + "x", "?invitation=gAAAA", "?invitation=%00"):
        page, _, _ = cloud.begin(broken)
        assert page.status_code == 400 and "This link has expired" in page.text
    _, cookie, url = cloud.begin(link)
    target = cloud.second.allow(cloud.zoe, url)
    cloud.apply(
        ORGANIZATION.replace("U0001, role: owner", "U0001, role: manager").replace("role: manager}", "role: owner}")
    )
    page_of_return = cloud.come_back(target, cookie)
    assert page_of_return.status == 403 and "no longer an owner" in page_of_return.text
    assert cloud.begin(link)[0].status_code == 400
    cloud.apply()
    assert cloud.begin(link)[0].status_code == 200
    cloud.store.clock.offset += timedelta(hours=24, seconds=1)
    assert cloud.begin(link)[0].status_code == 400


def test_a_workspace_that_was_connected_in_slack_stays_until_the_file_names_it(waiting: Cloud) -> None:
    cloud, ada = waiting, waiting.cast.ada
    ada.press(shown(cloud, ada), "Connect")
    cloud.settle()
    cloud.apply(ORGANIZATION + ZOE, prune=True)
    assert cloud.find_organization("T0002") == cloud.find_organization("T0001")
    cloud.apply((ORGANIZATION + ZOE).replace("[T0001]", "[T0001, T0002]"))
    with cloud.store.read() as connection:
        assert connection.scalar(select(Workspace.connected_in_slack).where(Workspace.id == "T0002")) is False
    cloud.apply(ORGANIZATION + ZOE, prune=True)
    assert cloud.find_organization("T0002") is None, "the file has named it, and does not any more"


def test_the_link_is_for_the_organization_alone(waiting: Cloud) -> None:
    markup = shown(waiting, waiting.cast.ada).markup
    assert re.search(r"/slack/install\?invitation=[\w-]{100,}", markup)


# --- disconnecting ---------------------------------------------------------------------------------------------

CHANNELS = ORGANIZATION.replace("channels: [C0002]", "channels: [C0002, C0021]").replace(
    "cyn@acme.test, name: Cyn Roe", "cyn@acme.test, name: Cyn Roe, slack: {T0001: U0003}"
)


@pytest.fixture
def connected(cloud: Cloud) -> Cloud:
    """Acme has both workspaces, and a card of an incident in each."""
    cloud.apply(CHANNELS + ZOE.replace("[payments]", "[payments, search]"))
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe, cloud.invite(cloud.cast.ada))
    cloud.cast.ada.press(shown(cloud, cloud.cast.ada), "Connect")
    cloud.settle()
    cloud.ask(cloud.zoe, "declare project:catalogue Search is slow")
    cloud.cast.cyn.wait_for_message(cloud.cast.catalogue, containing="#1 Search is slow")
    cloud.zoe.wait_for_message("C0021", containing="#1 Search is slow")
    return cloud


def disconnect(cloud: Cloud) -> SeenMessage:
    """Ada's press of the second of the two buttons `Disconnect`."""
    listed = shown(cloud, cloud.cast.ada)
    cloud.cast.ada.press(listed, "Disconnect", containing="Labs")
    return listed.wait_for(lambda message: "You disconnected Labs (T0002) from Acme." in message.text)


def test_an_owner_disconnects_a_workspace_and_connects_it_again(connected: Cloud) -> None:
    cloud, ada, zoe = connected, connected.cast.ada, connected.zoe
    cloud.ask(zoe, "subscribe 1")
    cloud.settle()
    disconnect(cloud)
    cloud.settle()
    before = len(cloud.second.messages("C0021"))
    assert "not connected to an organization" in cloud.ask(zoe, "list").text
    cloud.ask(cloud.cast.cyn, "comment 1 look at the index")
    cloud.ask(cloud.cast.cyn, "declare project:catalogue Search is down")
    cloud.cast.cyn.wait_for_message(cloud.cast.catalogue, containing="#2 Search is down")
    cloud.settle()
    assert len(cloud.second.messages("C0021")) == before
    assert not any("index" in message.text for message in zoe.direct_messages())
    with cloud.store.read() as connection:
        entry = connection.execute(text("SELECT * FROM audit_entry ORDER BY id DESC LIMIT 1")).one()
    assert (entry.action, entry.subject, entry.before) == ("workspace.remove", "T0002", {"name": "Labs"})
    assert (
        "disconnected" in cloud.ask(ada, "audit").text or "removed the workspace T0002" in cloud.ask(ada, "audit").text
    )

    listed = shown(cloud, ada)
    assert "1 workspace of Acme" in listed.text
    ada.press(listed, "Connect")
    listed.wait_for(lambda message: "You connected Labs (T0002) to Acme." in message.text)
    zoe.wait_for_message("C0021", containing="#2 Search is down")  # what still matters is sent
    cloud.ask(zoe, "resolve 1")
    zoe.wait_for_message("C0021", containing="#1 Search is slow").wait_for(lambda card: "Resolved" in card.text)


def test_the_organization_file_connects_again_what_it_names(connected: Cloud) -> None:
    cloud = connected
    disconnect(cloud)
    cloud.apply(CHANNELS + ZOE)
    assert "not connected" in cloud.ask(cloud.zoe, "list").text
    cloud.apply((CHANNELS + ZOE).replace("[T0001]", "[T0001, T0002]"))
    assert "Zoe Lab" in cloud.ask(cloud.zoe, "whoami").text


def test_another_organization_may_connect_what_was_disconnected(connected: Cloud) -> None:
    cloud = connected
    disconnect(cloud)
    cloud.apply(GLOBEX)
    assert "Globex" in cloud.ask(cloud.zoe, "whoami").text
    assert "Search" not in cloud.ask(cloud.zoe, "list").text
    assert "Search is slow" in cloud.ask(cloud.cast.cyn, "view 1").text


_LIMIT = """
CREATE FUNCTION limit_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT count(*) FROM deleted) > 2000 THEN RAISE 'canceling statement due to statement timeout'; END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER limit_deletion AFTER DELETE ON post REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION limit_deletion();
CREATE TRIGGER limit_deletion AFTER DELETE ON thread_reply REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION limit_deletion();
"""


def test_a_workspace_in_which_another_organization_has_very_many_rows_is_taken_over(
    waiting: Cloud,
) -> None:
    """No statement deletes more rows than it has time for, of which a trigger is the measure."""
    cloud, ada = waiting, waiting.cast.ada
    cloud.apply(GLOBEX)
    with cloud.store.write() as tx:
        tx.exec_driver_sql("UPDATE workspace SET date_disconnected = now() WHERE id = 'T0002'")
        tx.exec_driver_sql(
            "WITH d AS (INSERT INTO destination (workspace_id, channel_id) VALUES ('T0002', 'C0021') RETURNING id),"
            " r AS (INSERT INTO thread_reply (organization_id, destination_id, ts) SELECT o.id, d.id, n::text"
            "  FROM d, organization o, generate_series(1, 4500) n WHERE o.slug = 'globex')"
            " INSERT INTO post (organization_id, destination_id, kind, message, date_done)"
            " SELECT o.id, d.id, 'note', '{}', now() FROM d, organization o, generate_series(1, 4500)"
            " WHERE o.slug = 'globex'"
        )
        tx.exec_driver_sql(_LIMIT)
    try:
        listed = shown(cloud, ada)
        ada.press(listed, "Connect")
        listed.wait_for(lambda message: "You connected Labs (T0002) to Acme." in message.text)
    finally:
        with cloud.store.write() as tx:
            tx.exec_driver_sql("DROP FUNCTION limit_deletion CASCADE")
    assert cloud.find_organization("T0002") == cloud.find_organization("T0001")


def test_who_may_not_disconnect_and_what_cannot_be(connected: Cloud) -> None:
    cloud, ada = connected, connected.cast.ada
    for person in (cloud.cast.ben, cloud.cast.dan):
        press(cloud, ada, "Disconnect", by=person)
    press(cloud, ada, "Disconnect", workspace="T0404")
    press(cloud, ada, "Disconnect", workspace="T0002' OR true")
    cloud.apply(GLOBEX.replace("workspaces: [T0002]", "workspaces: [T0077]"))
    press(cloud, ada, "Disconnect", workspace="T0077")
    with cloud.store.read() as connection:
        left = connection.execute(text("SELECT id FROM workspace WHERE date_disconnected IS NULL ORDER BY id"))
        assert list(left.scalars()) == ["T0001", "T0002", "T0077"]
    listed = shown(cloud, ada)
    disconnect(cloud)
    assert "Disconnect" not in shown(cloud, ada).buttons, "the only one that is left"
    ada.press(listed, "Disconnect", containing="Acme")
    ada.wait_for_message(containing="This is the only workspace of your organization.")


def test_the_workspace_of_the_environment_is_not_disconnected(connected: Cloud) -> None:
    cloud, ada = connected, connected.cast.ada
    own = cloud.bot.clients.find("T0001")
    assert own is not None
    cloud.bot.clients._own["T0001"] = replace(own, installation_id=None)
    cloud.bot.clients.replace({one.workspace_id: one for one in cloud.bot.clients.all()})
    ada.press(shown(cloud, ada), "Disconnect", containing="Acme")
    ada.wait_for_message(containing="Tocsin uses this workspace through SLACK_BOT_TOKEN in its settings")
    assert "Zoe Lab" in cloud.ask(cloud.zoe, "whoami").text
