"""An organization with several workspaces: each channel and each person is reached in the workspace they are in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.people.channels import find_workspace
from tests.installations.conftest import Cloud
from tests.stories.conftest import ORGANIZATION

BOTH = ORGANIZATION.replace("[T0001]", "[T0001, T0002]").replace("channels: [C0002]", "channels: [C0002, C0021]")
ZOE = "  - {email: zoe@acme.test, name: Zoe Lab, role: member, teams: [search, payments]}\n"


@pytest.fixture
def both(cloud: Cloud) -> Cloud:
    cloud.apply(BOTH + ZOE)
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe)
    return cloud


def test_a_card_is_posted_in_the_workspace_of_its_channel(both: Cloud) -> None:
    cloud, cyn, zoe = both, both.cast.cyn, both.zoe
    cloud.ask(cyn, "declare project:catalogue Search is slow")
    here = cyn.wait_for_message(cloud.cast.catalogue, containing="#1 Search is slow")
    there = zoe.wait_for_message("C0021", containing="#1 Search is slow")
    zoe.press(there, "Acknowledge")
    for card in (here, there):
        card.wait_for(lambda shown: "Seen by Zoe Lab" in shown.text)
    zoe.reply(there, "the index is being rebuilt")
    here.wait_for(lambda shown: "the index is being rebuilt" in shown.text)
    cloud.ask(cyn, "declare project:catalogue Search is down")  # the workspace of the channel is known by now
    zoe.wait_for_message("C0021", containing="#2 Search is down")
    with cloud.store.read() as connection:
        rows = connection.execute(text("SELECT workspace_id, channel_id FROM destination WHERE channel_id IS NOT NULL"))
        assert sorted(tuple(row) for row in rows) == [("T0001", "C0002"), ("T0002", "C0021")]


def test_a_person_is_told_in_the_workspace_that_they_use(both: Cloud) -> None:
    cloud, cyn, zoe = both, both.cast.cyn, both.zoe
    cloud.ask(cyn, "declare project:catalogue Search is slow")
    cloud.ask(zoe, "subscribe 1")
    cloud.ask(cyn, "comment 1 look at the index")
    zoe.wait_for_message(containing="look at the index")
    cloud.ask(zoe, "comment 1 it is being rebuilt")
    cyn.wait_for_message(containing="it is being rebuilt")


def test_a_person_who_has_not_used_the_bot_is_found_in_the_other_workspace(both: Cloud) -> None:
    cloud, cyn, zoe = both, both.cast.cyn, both.zoe
    cloud.ask(cyn, "declare project:catalogue Search is slow")
    with cloud.store.write() as tx:  # as `sync_members` or the file make somebody follow
        tx.execute(
            text(
                "INSERT INTO incident_subscription (incident_id, member_id, date_added)"
                " SELECT i.id, m.id, now() FROM incident i, member m WHERE m.email = 'zoe@acme.test'"
            )
        )
    cloud.ask(cyn, "comment 1 look at the index")
    zoe.wait_for_message(containing="look at the index")


def test_a_private_channel_of_the_other_workspace_takes_cards_once_the_bot_is_invited(both: Cloud) -> None:
    cloud, zoe = both, both.zoe
    secret = cloud.second.channel("C0022", "secret", private=True, bot_in=False)
    cloud.apply(BOTH.replace("C0021", "C0022") + ZOE)
    cloud.ask(cloud.cast.cyn, "declare project:catalogue Search is slow")
    cloud.cast.cyn.wait_for_message(cloud.cast.catalogue, containing="#1 Search is slow")
    cloud.second.invite_bot(secret, zoe)
    zoe.wait_for_message(secret, containing="#1 Search is slow")


DIGEST = "digests: [{name: morning, channel: C0021, owner: ada@acme.test, schedule: daily at 9, filters: all}]\n"


def test_a_digest_of_the_file_comes_with_its_picture_in_the_workspace_of_its_channel(both: Cloud) -> None:
    cloud, ada, zoe = both, both.cast.ada, both.zoe
    cloud.apply(BOTH + ZOE + DIGEST)
    cloud.ask(ada, "declare project:checkout Payments fail")  # in a channel of the first workspace alone
    with cloud.store.read() as connection:
        digest_id = connection.execute(text("SELECT id FROM digest")).scalar_one()
    assert "now" in cloud.ask(ada, f"digest now {digest_id}").text
    posted = zoe.wait_for_message("C0021", containing="1 open incident")
    (image,) = [block for block in posted.record.body["blocks"] if block["type"] == "image"]
    with cloud.store.read() as connection:
        file_id = connection.execute(text("SELECT file_id FROM digest_fire")).scalar_one()
        assert image["slack_file"]["id"] == file_id
        assert connection.execute(text("SELECT workspace_id FROM digest")).scalar_one() == "T0002"
    # From the other workspace it is managed all the same.
    cloud.ask(ada, f"digest pause {digest_id}")
    assert "You resumed digest" in cloud.ask(ada, f"digest resume {digest_id}").text
    cloud.ask(ada, f"digest now {digest_id}")
    zoe.wait_for_message("C0021", containing="1 open incident", after=posted)


def test_a_channel_is_not_looked_for_elsewhere_while_slack_does_not_say_where_it_is(both: Cloud) -> None:
    both.settle()
    workspaces = ("T0002", "T0001")
    assert find_workspace(both.bot.clients, "C0002", workspaces) == "T0001"
    for error in ("internal_error", "missing_scope"):
        both.first.faults.refuse("conversations.info", error)
        assert find_workspace(both.bot.clients, "C0002", workspaces) is None
    both.first.faults.cut("conversations.info", performed=False)
    assert find_workspace(both.bot.clients, "C0002", workspaces) is None
    both.first.faults.refuse("conversations.info", "token_revoked")
    assert find_workspace(both.bot.clients, "C0002", workspaces) == "T0001"


def test_a_message_links_to_no_card_of_another_workspace(both: Cloud) -> None:
    cloud, cyn, zoe = both, both.cast.cyn, both.zoe
    cloud.apply(BOTH.replace("[C0002, C0021]", "[C0002]") + ZOE, prune=True)
    cloud.ask(cyn, "declare project:catalogue Search is slow")
    cyn.wait_for_message(cloud.cast.catalogue, containing="#1 Search is slow")
    for person, words in ((zoe, "subscribe 1"), (cyn, "comment 1 look at the index"), (zoe, "comment 1 I do")):
        cloud.ask(person, words)
    assert "/archives/C0002/" in cyn.wait_for_message(containing="I do").markup
    assert "/archives/" not in zoe.wait_for_message(containing="look at the index").markup


def test_an_owner_is_reminded_once(both: Cloud) -> None:
    cloud, cyn = both, both.cast.cyn
    cloud.apply((BOTH + ZOE).replace("name: Search,", "name: Search, remind_owner: 60m,"))
    cloud.ask(cyn, "declare project:catalogue team:search Search is slow")
    cloud.ask(cyn, "take 1")
    cloud.store.clock.offset += timedelta(hours=1, minutes=1)
    cloud.first.clock.advance(3660)
    cyn.wait_for_message(containing="Are you still on")
    with cloud.store.read() as connection:
        reminders = text("SELECT count(*) FROM post WHERE kind = 'reminder'")
        assert connection.execute(reminders).scalar_one() == 1


def test_nothing_of_one_organization_is_posted_where_another_has_a_channel_of_that_name(cloud: Cloud) -> None:
    """Globex names Acme's channel in its own file: its incidents go nowhere near it."""
    cloud.apply()
    cloud.apply(
        "organization: {slug: globex, name: Globex, workspaces: [T0002]}\n"
        "teams: [{slug: core, name: Core}]\n"
        "projects: [{slug: reactor, name: Reactor, teams: [core], channels: [C0001]}]\n"
        "members: [{email: zoe@acme.test, name: Zoe Lab, role: owner, teams: [core]}]\n"
    )
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe)
    cloud.ask(cloud.cast.ada, "declare project:checkout Payments fail")
    cloud.cast.ben.wait_for_message(cloud.cast.checkout, containing="Payments fail")
    cloud.ask(cloud.zoe, "declare project:reactor Coolant lost")
    cloud.ask(cloud.cast.ada, "declare project:checkout Refunds fail")
    cloud.cast.ben.wait_for_message(cloud.cast.checkout, containing="Refunds fail")
    cloud.settle()
    assert not any("Coolant" in message.text for message in cloud.first.messages("C0001"))
