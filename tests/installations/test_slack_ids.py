"""Members with another Slack id in each workspace: they are one member in all of them."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from bot.administration import erasing
from bot.transfer.importing import Importer, Line
from bot.transfer.records import RECORD
from sandbox import Person
from storage.audit_rows import Actor, AuditOrigin
from storage.queries import exporting
from tests.installations.conftest import Cloud
from tests.stories.conftest import COMMAND, ORGANIZATION

# Cyn has another id and another e-mail address in Labs, where Zoe has Cyn's id of Acme.
BOTH = ORGANIZATION.replace("[T0001]", "[T0001, T0002]").replace("channels: [C0002]", "channels: [C0002, C0021]")
CYN = "  - {email: cyn@acme.test, name: Cyn Roe, role: member, teams: [search]}\n"
BY_ID = "  - {email: cyn@acme.test, name: Cyn Roe, slack: {T0001: U0003, T0002: U0077}, teams: [search]}\n"
ORGANIZATION_BY_ID = BOTH.replace(CYN, BY_ID)
OPERATOR = Actor(AuditOrigin.COMMAND, name="the tests")


@pytest.fixture
def there(cloud: Cloud) -> Person:
    """Cyn in the second workspace."""
    return cloud.second.person("U0077", "Cyn of Labs", "cyn@labs.test")


@pytest.fixture
def both(cloud: Cloud, there: Person) -> Cloud:
    assert BY_ID in ORGANIZATION_BY_ID and there.id == "U0077"
    cloud.apply(ORGANIZATION_BY_ID)
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe)
    return cloud


def say(cloud: Cloud, words: str) -> None:
    """What Slack resolves no name in."""
    cloud.cast.dan.command(COMMAND, words, resolve=False)


def test_a_person_is_one_member_in_both_workspaces(both: Cloud, there: Person) -> None:
    cloud, here = both, both.cast.cyn
    for person in (here, there):
        answer = cloud.ask(person, "whoami").text
        assert "Cyn Roe" in answer and "cyn@acme.test" in answer
    cloud.ask(here, "declare project:catalogue Search is slow")
    cloud.ask(there, "take 1")
    card = cloud.cast.cyn.wait_for_message(cloud.cast.catalogue, containing="#1 Search is slow")
    card.wait_for(lambda shown: "Cyn Roe" in shown.text)
    assert "You already own" in cloud.ask(here, "take 1").text
    # By her e-mail she is nobody in Labs, because the file says who she is there.
    stranger = cloud.second.person("U0078", "Cyn Roe", "cyn@acme.test")
    assert "You are not a member" in cloud.ask(stranger, "whoami").text


def test_an_id_counts_in_its_workspace_alone(both: Cloud) -> None:
    cloud = both
    stranger = cloud.second.person("U0003", "Max Lab", "max@labs.test")
    assert "You are not a member" in cloud.ask(stranger, "whoami").text
    other = cloud.first.person("U0077", "Max Acme", "max@acme.test")
    assert "You are not a member" in cloud.ask(other, "whoami").text


def test_a_mention_in_either_workspace_means_the_same_member(both: Cloud) -> None:
    cloud, cyn = both, both.cast.cyn
    cloud.apply(ORGANIZATION_BY_ID + "  - {email: zoe@acme.test, name: Zoe Lab, teams: [search]}\n")
    cloud.ask(cyn, "declare project:catalogue Search is slow")
    cloud.ask(cloud.zoe, "comment 1 ask <@U0077> about it")
    cloud.ask(cloud.cast.dan, "comment 1 or ask <@U0003>")
    cloud.settle()
    with cloud.store.read() as connection:
        mentioned = connection.execute(text("SELECT DISTINCT member_id FROM comment_mention")).scalars().all()
    assert len(mentioned) == 1
    for person, user in ((cloud.zoe, "U0077"), (cloud.cast.dan, "U0003")):
        shown = cloud.ask(person, "activity 1").message
        assert shown is not None
        assert shown.markup.count(f"<@{user}>") == 2


def test_a_person_is_told_where_they_use_the_bot_or_else_where_the_file_has_them(both: Cloud, there: Person) -> None:
    cloud = both
    only_there = BY_ID.replace("T0001: U0003, ", "")
    cloud.apply(BOTH.replace(CYN, only_there))
    cloud.ask(cloud.cast.dan, "declare project:catalogue Search is slow")
    say(cloud, "comment 1 @cyn look at the index")  # who has never used the bot
    there.wait_for_message(containing="look at the index")
    cloud.apply(ORGANIZATION_BY_ID)
    say(cloud, "comment 1 @cyn it is rebuilt")  # in both now: where she was told before
    there.wait_for_message(containing="it is rebuilt")
    cloud.settle()
    assert not any("rebuilt" in message.text for message in cloud.cast.cyn.direct_messages())


def test_who_moves_to_the_other_workspace_is_told_there(both: Cloud, there: Person) -> None:
    cloud, here = both, both.cast.cyn
    cloud.ask(here, "declare project:catalogue Search is slow")
    cloud.ask(cloud.cast.dan, "comment 1 @cyn look at the index")
    here.wait_for_message(containing="look at the index")
    cloud.apply(BOTH.replace(CYN, BY_ID.replace("T0001: U0003, ", "").replace("cyn@acme", "cyn@labs")))
    say(cloud, "comment 1 @cyn.roe it is rebuilt")
    there.wait_for_message(containing="it is rebuilt")


def test_ids_are_exported_and_imported_for_the_workspaces_of_the_organization(both: Cloud) -> None:
    cloud = both
    with cloud.store.read() as connection:
        organization_id = cloud.find_organization("T0001") or 0
        records = list(exporting.read_setup(connection, organization_id))
    (cyn,) = [one for one in records if one.get("email") == "cyn@acme.test"]
    assert (cyn["slack_user_id"], cyn["slack_user_ids"]) == (None, {"T0001": "U0003", "T0002": "U0077"})
    with cloud.store.write() as tx:
        tx.execute(text("DELETE FROM organization"))
    cloud.apply(
        "organization: {slug: globex, name: Globex, workspaces: [T0002]}\n"
        "members: [{email: zoe@acme.test, name: Zoe Lab, slack: {T0002: U0077}, role: owner}]\n"
    )
    cloud.apply("organization: {slug: acme, name: Acme, workspaces: [T0001]}\n")
    lines = [Line(number, RECORD.validate_json(json.dumps(one))) for number, one in enumerate(records, 2)]
    Importer(cloud.store, OPERATOR, dry_run=False).run("acme", lines, lambda _: None)
    with cloud.store.read() as connection:
        rows = connection.execute(
            text(
                "SELECT m.email, k.workspace_id, k.slack_user_id FROM member_slack_user k JOIN member m ON m.id ="
                " k.member_id ORDER BY 1, 2"
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        ("cyn@acme.test", "T0001", "U0003"),
        ("zoe@acme.test", "T0002", "U0077"),  # another organization's workspace is not touched
    ]


def test_who_is_erased_leaves_no_id_in_any_workspace(both: Cloud, there: Person) -> None:
    cloud, here = both, both.cast.cyn
    cloud.ask(here, "declare project:catalogue Search is slow")
    cloud.ask(there, "comment 1 look at the index")
    cloud.ask(cloud.zoe, "whoami")
    cloud.apply(ORGANIZATION.replace(CYN, "").replace("[T0001]", "[T0001, T0002]"), prune=True)
    assert "You are not a member" in cloud.ask(here, "whoami").text
    assert "You are not a member" in cloud.ask(there, "whoami").text
    cloud.settle()
    organization_id = cloud.find_organization("T0001") or 0
    with cloud.store.read() as connection:
        person = erasing.find_person(connection, organization_id, "U0077")
    assert person.user_ids == {"U0003", "U0077"} and person.email == "cyn@acme.test"
    erasing.erase(cloud.store, organization_id, person, cloud.store.clock.now(), OPERATOR, lambda _: None)
    with cloud.store.read() as connection:
        left = connection.execute(
            text(
                "SELECT 'slack_person' FROM slack_person WHERE user_id IN ('U0003', 'U0077')"
                " UNION ALL SELECT 'member_slack_user' FROM member_slack_user"
                " UNION ALL SELECT 'destination' FROM destination WHERE user_id IN ('U0003', 'U0077')"
                " UNION ALL SELECT 'audit_entry' FROM audit_entry WHERE before::text ~ 'U0003|U0077'"
                " OR after::text ~ 'U0003|U0077'"
            )
        ).scalars()
        assert list(left) == []
