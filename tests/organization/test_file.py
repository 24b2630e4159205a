"""The organization file: what it may say, and that every mistake is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.organization import tree
from bot.organization.file import BadFile, OrganizationFile, load, parse
from storage.values import Role

ACME = """\
organization:
  slug: acme
  name: Acme
  workspaces: [T0001]        # the Slack team id
  open_membership: false
  incidents: true
  shared_channels: false
teams:
  - {slug: payments, name: Payments, slack_usergroup: S0001}   # user group optional
projects:
  - {slug: checkout, name: Checkout, teams: [payments], channels: [C0001]}
members:
  - email: ada@acme.test
    name: Ada Obi
    slack: U0001
    role: owner
    teams: [payments]
    superuser: false
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(BadFile) as caught:
        parse(text, "acme.yaml")
    return caught.value.lines


def test_the_documented_example_is_read() -> None:
    file = parse(ACME, "acme.yaml")
    assert file.organization.workspaces == ["T0001"]
    assert file.teams[0].slack_usergroup == "S0001"
    assert file.projects[0].channels == ["C0001"]
    assert file.members[0].role is Role.OWNER


def test_an_organization_alone_is_enough_and_has_defaults() -> None:
    file = parse("organization: {slug: acme, name: Acme}\nteams:\nmembers: []\n", "acme.yaml")
    assert file == OrganizationFile.model_validate({"organization": {"slug": "acme", "name": "Acme"}})
    assert (file.organization.open_membership, file.organization.incidents) == (False, True)


def test_text_stays_as_written_and_emails_are_folded() -> None:
    file = parse(
        "organization: {slug: '2024', name: 2024-01-01}\n"
        "members: [{email: Ada@ACME.test, name: '  Ada   Obi\t'}, {email: b@x, name: 007, role: }]\n",
        "acme.yaml",
    )
    assert (file.organization.slug, file.organization.name) == ("2024", "2024-01-01")
    assert (file.members[0].email, file.members[0].name) == ("ada@acme.test", "Ada Obi")
    assert (file.members[1].name, file.members[1].role) == ("007", Role.MEMBER)


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "hint"),
    [
        ("open_membership", "open_membershp", 5, "organization.open_membershp", "did you mean open_membership?"),
        ("incidents: true", "incidents: maybe", 6, "organization.incidents", "true or false, not maybe"),
        ("slug: acme", "slug: Acme Inc", 2, "organization.slug", "lower case letters"),
        ("  slug: acme\n", "", 1, "organization.slug", "is missing"),
        ("name: Acme", "name: No", 3, "organization.name", "quotes"),
        ("name: Acme", "name: ' '", 3, "organization.name", "is empty"),
        ("name: Acme", "name:", 3, "organization.name", "is missing"),
        ("name: Acme", f"name: {'x' * 81}", 3, "organization.name", "longer than 80"),
        ("name: Acme", "name: A\n  retention: 30d", 4, "organization.retention", "should be a group of fields"),
        ("name: Acme", "name: A\n  retention: {audit: 5h}", 4, "organization.retention.audit", "from 1d to 36500d"),
        ("name: Acme", "name: A\n  retention: {audit: -1d}", 4, "organization.retention.audit", "like 60m"),
        (
            "name: Acme",
            "name: A\n  retention: {closed: 9d}",
            4,
            "organization.retention.closed",
            "closed_incidents and audit",
        ),
        ("name: Acme", 'name: "a\\0b"', 3, "organization.name", "cannot be shown"),
        ("name: Acme", "name: [Acme]", 3, "organization.name", "should be text"),
        ("[T0001]", "T0001", 4, "organization.workspaces", "should be a list"),
        ("[T0001]", "[t0001]", 4, "organization.workspaces[0]", "T0123ABCD, not t0001"),
        ("[T0001]", "[T0001, T0001]", 4, "organization.workspaces[1]", "T0001 stands twice"),
        ("S0001", "payments", 9, "teams[0].slack_usergroup", "user group"),
        ("S0001", "S0001, remind_owner: 60", 9, "teams[0].remind_owner", "like 60m, not 60"),
        ("S0001", "S0001, remind_owner: 0m", 9, "teams[0].remind_owner", "from 1m to 365d, not 0m"),
        ("[C0001]", "['#general']", 11, "projects[0].channels[0]", "C0123ABCD or G0123ABCD, not #general"),
        ("[C0001]", "[C0001, C0001]", 11, "projects[0].channels[1]", "stands twice; first on line 11"),
        ("teams: [payments], ", "teams: [payment], ", 11, "projects[0].teams[0]", "did you mean payments?"),
        ("  teams: [payments]\n", "  teams: [ops]\n", 17, "members[0].teams[0]", "no team ops"),
        ("ada@acme.test", "ada", 13, "members[0].email", "ada@acme.test, not ada"),
        ("ada@acme.test", "ada@acme .test", 13, "members[0].email", "e-mail address"),
        ("slack: U0001", "slack: '@ada'", 15, "members[0].slack", "U0123ABCD or W0123ABCD, not @ada"),
        ("slack: U0001", "slack: {T0001: ada}", 15, "members[0].slack.T0001", "U0123ABCD or W0123ABCD, not ada"),
        ("slack: U0001", "slack: {C0001: U0001}", 15, "members[0].slack.C0001", "workspace, like T0123ABCD, not C0001"),
        ("slack: U0001", "slack: {T1: U1, T1: U2}", 15, "members[0].slack.T1", "stands twice; first on line 15"),
        ("slack: U0001", "slack: [U0001]", 15, "members[0].slack", "or one for each workspace, like {T0123ABCD: U"),
        ("role: owner", "role: boss", 16, "members[0].role", "owner, manager, admin or member, not boss"),
        ("role: owner", "role: owner\n    role: member", 17, "members[0].role", "twice; first on line 16"),
        ("superuser: false", "superuser: 0", 18, "members[0].superuser", "true or false, not 0"),
        ("[C0001]", "[C0001], quiet_minutes: 5m", 11, "projects[0].quiet_minutes", "0 to 1440, not 5m"),
        ("[C0001]", "[C0001], quiet_minutes: 1441", 11, "projects[0].quiet_minutes", "0 to 1440"),
        ("[C0001]", "[C0001], quiet_minutes: true", 11, "projects[0].quiet_minutes", "0 to 1440"),
        ("[C0001]", "[C0001], storm: {cards: 0}", 11, "projects[0].storm.cards", "from 1 to 1,000, not 0"),
        ("[C0001]", "[C0001], storm: {within: 60}", 11, "projects[0].storm.within", "like 60m, not 60"),
        ("[C0001]", "[C0001], storm: {within: 2h}", 11, "projects[0].storm.within", "from 1s to 1h, not 2h"),
        ("[C0001]", "[C0001], storm: {card: 5}", 11, "projects[0].storm.card", "did you mean cards?"),
        ("[C0001]", "[C0001], storm: 5", 11, "projects[0].storm", "name: value"),
        ("members:", "member:", 12, "member", "did you mean members?"),
        ("  - email: ada@acme.test", "  - ada\n  - email: ada@acme.test", 13, "members[0]", "name: value"),
    ],
)
def test_a_mistake_is_one_line_with_place_field_and_what_would_be_right(
    old: str, new: str, line: int, field: str, hint: str
) -> None:
    assert old in ACME
    (found,) = mistakes(ACME.replace(old, new, 1))
    assert found.startswith(f"acme.yaml:{line}: {field}: ")
    assert hint in found
    assert found.isprintable()


def test_a_misspelt_field_is_one_mistake_and_not_also_a_missing_one() -> None:
    with pytest.raises(BadFile) as caught:
        parse("organization: {slug: acme, nam: Acme}\n", "acme.yaml")
    assert caught.value.lines == ["acme.yaml:1: organization.nam: is no field here; did you mean name?"]


def test_every_mistake_is_told_at_once_in_the_order_of_the_file() -> None:
    text = ACME.replace("owner", "boss").replace("C0001", "x").replace("slug: payments", "slug: Payments")
    text += "  - {email: Ada@acme.test, name: Again, slack: U0001}\n"
    found = mistakes(text)
    assert [line.split(": ")[0] for line in found] == [f"acme.yaml:{number}" for number in (9, 11, 11, 16, 17, 19, 19)]


def test_a_thousand_mistakes_are_not_all_printed() -> None:
    text = "organization: {slug: acme, name: Acme}\nmembers:\n" + "  - {}\n" * 1000
    found = mistakes(text)
    assert len(found) == 101
    assert found[-1] == "acme.yaml: and 1900 more mistakes"


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("", 1, "organization:"),
        ("- a\n", 1, "organization:"),
        ("organization: {slug: acme\n", 2, "not YAML"),
        ("organization:\n\tslug: acme\n", 2, "not YAML"),
        ("a: 1\nb: 2: 3\n", 2, "not YAML"),
        ("a: &x [1]\nb: *x\n", 1, "anchors"),
        ("a: b\nc: *x\n", 2, "anchors"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "tags"),
        ("a: 1\n---\nb: 1\n", 2, "second document"),
        ("? [a, b]\n: 1\n", 1, "plain text"),
        ("a: " + "[" * 5000 + "]" * 5000, 1, "nested"),
        ("a: {" * 5000, 1, "nested"),
        ("a: 'x\x00y'\n", 1, "not YAML"),
        ("a: b\nc: 'x\x07y'\n", 2, "not YAML"),
        ("a: '" + "x" * tree.MAX_BYTES + "'", 1, "larger than"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, line: int, hint: str) -> None:
    (found,) = mistakes(text)
    assert found.startswith(f"acme.yaml:{line}: ")
    assert hint in found
    assert len(found.splitlines()) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, hint in (
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(BadFile, match=hint) as caught:
            load(path)
        assert str(path) in str(caught.value)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"organization:\n  name: Caf\xe9\n")
    with pytest.raises(BadFile, match=r"latin.yaml:2: is not UTF-8 text"):
        load(latin)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_text(ACME, encoding="utf-8-sig")
    assert load(path).organization.slug == "acme"


TWO = """\
organization: {slug: acme, name: Acme, workspaces: [T0001, T0002]}
members:
  - {email: ada@acme.test, name: Ada, slack: %s}
  - {email: ben@acme.test, name: Ben, slack: %s}
"""


@pytest.mark.parametrize(
    ("ada", "ben", "at"),
    [
        ("U0001", "U0001", "members[1].slack"),
        ("U0001", "{T0002: U0001}", "members[1].slack.T0002"),
        ("{T0001: U0001, T0002: U0077}", "{T0001: U0005, T0002: U0077}", "members[1].slack.T0002"),
        ("{T0001: U0001}", "U0001", "members[1].slack"),
    ],
)
def test_a_slack_id_of_two_members_in_one_workspace_is_a_mistake(ada: str, ben: str, at: str) -> None:
    (found,) = mistakes(TWO % (ada, ben))
    assert found.startswith(f"acme.yaml:4: {at}: U00") and found.endswith("stands twice; first on line 3")


def test_one_id_may_stand_in_two_workspaces() -> None:
    """In an Enterprise organization a person has one id everywhere; elsewhere two people may share one."""
    file = parse(TWO % ("{T0001: W0001, T0002: W0001}", "{T0002: W0005}"), "acme.yaml")
    assert file.members[0].slack == {"T0001": "W0001", "T0002": "W0001"}
    parse(TWO % ("{T0001: U0001}", "{T0002: U0001}"), "acme.yaml")
    assert parse(TWO % ("{}", "{T0002: }"), "acme.yaml").members[1].slack == {}
