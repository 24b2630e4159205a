"""`export` and `import`: what people did in Slack comes out of the database, and in again, once."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bot.transfer import importing
from bot.transfer.importing import Importer
from storage.errors import DatabaseAway
from tests.stories.conftest import ORGANIZATION, Run, World
from tests.stories.test_calls import make_calls, read_usergroups, with_calls


@pytest.fixture
def busy(world: World) -> World:
    """Three incidents with all that people do to them."""
    world.declare("Payments fail", options="critical project:checkout team:payments env:production")
    world.declare("Search is slow", options="warning project:catalogue")
    world.declare("=cmd()", by=world.ben)
    for who, words in (
        (world.ben, "ack 1"),
        (world.ada, f"comment 1 {world.ben.mention} and <!subteam^S0001>, the *replica* lags"),
        (world.ben, "take 1"),
        (world.ada, "severity 1 warning better"),
        (world.ben, "resolve 3 a test"),
        (world.cyn, "subscribe 2"),
    ):
        assert ":warning:" not in world.ask(who, words).text
    world.rest()
    return world


def _records(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def _audit(file: str) -> list[dict[str, Any]]:
    return [record for record in _records(file) if record["type"] == "audit"]


def _forget(world: World) -> None:
    with world.store.write() as tx:
        tx.execute(text("DELETE FROM organization"))


def test_an_organization_is_the_same_after_its_import(busy: World, run: Run) -> None:
    before = [busy.seen_by(busy.ada, number) for number in (1, 2, 3)]
    assert run("export", "one.jsonl") == (0, "acme is in one.jsonl.\n", "")
    assert Path("one.jsonl").stat().st_mode & 0o077 == 0
    _forget(busy)
    code, out, err = run("import", "one.jsonl")
    assert (code, err) == (0, "")
    entries = _audit("one.jsonl")
    added = f"3 incidents, {len(entries)} audit entries added"
    assert out == f"acme: 1 organization, 2 teams, 2 projects, 5 members, {added}.\n"
    assert run("export", "two.jsonl")[0] == 0
    one, two = ([line for line in _records(file)[1:] if line["type"] != "audit"] for file in ("one.jsonl", "two.jsonl"))
    assert one == two
    # The audit log is the same, and says besides what was imported and exported.
    more = [entry for entry in _audit("two.jsonl") if entry not in entries]
    assert len(_audit("two.jsonl")) == len(entries) + len(more)
    assert {entry["action"] for entry in more} >= {"organization.add", "member.add", "data.import", "data.export"}
    assert [busy.seen_by(busy.ada, number) for number in (1, 2, 3)] == before
    assert busy.declare("The next one") == 4


def test_an_incident_whose_project_was_removed_comes_along(busy: World, run: Run) -> None:
    busy.apply("\n".join(line for line in ORGANIZATION.splitlines() if "slug: catalogue" not in line), prune=True)
    assert run("export", "one.jsonl")[0] == 0
    _forget(busy)
    assert "3 incidents" in run("import", "one.jsonl")[1]
    assert run("export", "two.jsonl")[0] == 0
    one, two = ([line for line in _records(file) if line["type"] == "incident"] for file in ("one.jsonl", "two.jsonl"))
    assert one == two and [incident["projects"] for incident in one] == [["checkout"], [], ["checkout"]]


def test_members_changed_in_slack_stay_so(busy: World, run: Run) -> None:
    with busy.store.write() as tx:
        tx.execute(text("UPDATE member SET changed_in_slack = name = 'Ben Tal'"))
    run("export", "one.jsonl")
    _forget(busy)
    assert run("import", "one.jsonl")[0] == 0
    with busy.store.read() as connection:
        assert connection.execute(text("SELECT name FROM member WHERE changed_in_slack")).scalars().all() == ["Ben Tal"]


def test_an_import_that_was_cut_off_goes_on_and_nothing_is_twice(
    busy: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 2)
    run("export", "one.jsonl")
    _forget(busy)
    left = len(_records("one.jsonl")) - 1
    real, done = Importer._import_audit_entries, [0]

    def cut_off(importer: Importer, known: Any, records: Any) -> None:
        done[0] += 1
        if done[0] == 2:
            raise DatabaseAway("killed")
        real(importer, known, records)

    monkeypatch.setattr(Importer, "_import_audit_entries", cut_off)
    assert run("import", "one.jsonl")[0] == 1
    code, out, _ = run("import", "one.jsonl")
    assert code == 0 and "Already there, and left as they are: 1 organization, 2 teams" in out
    assert "nothing added" in run("import", "one.jsonl")[1]
    run("export", "two.jsonl")
    once, again = ([json.dumps(one) for one in _records(file)[1:]] for file in ("one.jsonl", "two.jsonl"))
    assert left == len(once) and all(again.count(line) == 1 for line in once)


def test_the_calls_of_a_team_and_those_that_were_made_are_kept(world: World, run: Run) -> None:
    world.slack.usergroup("S0009", "oncall", "On call", [world.ben])
    world.apply(with_calls())
    read_usergroups(world)
    world.declare("Payments fail", options="critical project:checkout")
    make_calls(world)
    log = world.ask(world.ada, "activity 1").text
    assert "Called Ben Tal (on call for Payments)" in log
    assert run("export", "one.jsonl")[0] == 0
    _forget(world)
    assert run("import", "one.jsonl")[0] == 0
    assert world.ask(world.ada, "activity 1").text == log
    assert run("export", "two.jsonl")[0] == 0
    one, two = ([line for line in _records(name) if line["type"] == "team"] for name in ("one.jsonl", "two.jsonl"))
    assert one == two and len(one[0]["calls"]) == 4


def test_what_is_there_is_not_made_twice_and_stays_as_it_is(busy: World, run: Run) -> None:
    run("export", "one.jsonl")
    busy.ask(busy.ada, "comment 1 written since")
    busy.ask(busy.ada, "resolve 1")
    for _ in range(2):
        code, out, _ = run("import", "one.jsonl")
        assert code == 0
        assert out.startswith("acme: nothing added.\nAlready there, and left as they are: 1 organization, 2 teams,")
    assert "written since" in busy.seen_by(busy.ada, 1) + busy.ask(busy.ada, "activity 1").text
    assert [one["type"] for one in _records("one.jsonl")].count("incident") == 3


def test_a_dry_run_changes_nothing(busy: World, run: Run) -> None:
    run("export", "one.jsonl")
    _forget(busy)
    whole = Path("one.jsonl").read_text(encoding="utf-8")
    Path("one.jsonl").write_text(f"\ufeff{whole}", encoding="utf-8")  # as editors of Windows save it
    code, out, _ = run("import", "--dry-run", "one.jsonl")
    assert (code, out) == (0, "acme: 1 organization, 2 teams, 2 projects, 5 members, 3 incidents would be added.\n")
    assert run("export", "two.jsonl")[0] == 2


def test_another_incident_keeps_its_number(busy: World, run: Run) -> None:
    run("export", "one.jsonl")
    with busy.store.write() as tx:
        tx.execute(text("DELETE FROM incident WHERE identifier = 2"))
        tx.execute(text("UPDATE incident SET identifier = 2 WHERE identifier = 3"))
    code, out, _ = run("import", "one.jsonl")
    assert code == 0
    assert "acme: 1 incident added." in out
    assert "#2 is #4 here, because #2 is another incident." in out
    assert "nothing added" in run("import", "one.jsonl")[1]


@pytest.mark.usefixtures("busy")
def test_a_table_of_incidents_holds_no_formula(run: Run) -> None:
    assert run("export", "--format", "csv", "incidents.csv")[0] == 0
    with Path("incidents.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["identifier"]: row for row in csv.DictReader(file)}
    assert rows["1"] | {"title": "Payments fail", "severity": "Warning", "owner": "ben@acme.test"} == rows["1"]
    assert (rows["1"]["team"], rows["1"]["projects"], rows["1"]["comments"]) == ("payments", "checkout", "1")
    assert (rows["3"]["title"], rows["3"]["status"]) == ("'=cmd()", "resolved")
    code, out, _ = run("export", "--since", "2999-01-01", "--format", "csv", "-")
    assert code == 0
    assert [line.split(",")[0] for line in out.splitlines()] == ["identifier", "1", "2"]


SENTRY: list[dict[str, Any]] = [
    {
        "id": "7001",
        "identifier": "41",
        "organizationId": "1",
        "projects": ["checkout"],
        "title": "Error rate of <checkout>",
        "status": 2,
        "statusMethod": 3,
        "dateStarted": "2026-05-01T10:00:00Z",
        "dateDetected": "2026-05-01T10:01:00Z",
        "dateCreated": "2026-05-01T10:01:05.123456Z",
        "dateClosed": "2026-05-01T11:00:00Z",
        "seenBy": [{"name": "Ben Tal", "email": "BEN@acme.test"}],
        "activities": [
            {"type": 1, "user": None, "value": None, "dateCreated": "2026-05-01T10:01:05Z"},
            {"type": 3, "user": {"name": "Eve", "email": "eve@x.test"}, "comment": "rolled *back*",
             "dateCreated": "2026-05-01T10:30:00Z"},
            {"type": 2, "user": {"name": "Ada", "email": "ada@acme.test"}, "value": "2", "previousValue": "20",
             "dateCreated": "2026-05-01T11:00:00Z"},
        ],
    }
]  # fmt: skip


def test_incidents_of_sentry_are_taken_in_once(world: World, run: Run) -> None:
    Path("sentry.json").write_text(json.dumps(SENTRY), encoding="utf-8")
    code, out, err = run("import", "sentry.json")
    assert (code, err) == (0, "")
    assert "acme: 1 incident added." in out
    assert "nothing added" in run("import", "sentry.json")[1]
    shown = world.seen_by(world.ada, 41)
    assert "Error rate of <checkout>" in shown
    assert "Seen by Ben Tal" in shown
    assert "Eve: rolled" in world.ask(world.ada, "activity 41").text
    assert "You reopened #41" in world.ask(world.ada, "reopen 41").text
    assert world.declare("The next one") == 42


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("nonsense", "line 3: Invalid JSON"),
        ('{"type": "spoon"}', "line 3: Input tag 'spoon'"),
        ('{"type": "team", "slug": "Not a slug", "name": "x"}', "line 3: team.slug"),
        ('{"type": "incident", "identifier": 1}', "line 3: incident.title"),
    ],
)
def test_a_line_that_is_wrong_is_named(world: World, run: Run, line: str, sentence: str) -> None:
    header = '{"type": "tocsin-export", "version": 1, "organization": "acme"}'
    Path("bad.jsonl").write_text(f"{header}\n\n{line}\n", encoding="utf-8")
    code, out, err = run("import", "bad.jsonl")
    assert (code, out) == (2, "")
    assert err.startswith(f"bad.jsonl: {sentence}")
    assert world.declare("The first one") == 1


@pytest.mark.usefixtures("busy")
def test_what_cannot_be_exported_or_imported_is_said(run: Run) -> None:
    Path("words.txt").write_text("hello\n", encoding="utf-8")
    assert "words.txt: line 1: this is neither" in run("import", "words.txt")[2]
    assert "none.jsonl: No such file" in run("import", "none.jsonl")[2]
    assert "there is no organization 'amce'. There are acme." in run("export", "--organization", "amce", "x")[2]
    assert "--since: “soon” is not a time" in run("export", "--since", "soon", "x")[2]
    run("export", "one.jsonl")
    lines = Path("one.jsonl").read_text(encoding="utf-8").splitlines()
    stranger = [line.replace("ben@acme.test", "zoe@acme.test") if '"incident"' in line else line for line in lines]
    Path("stranger.jsonl").write_text("\n".join(stranger), encoding="utf-8")
    assert "names the member zoe@acme.test, which the organization does not have" in run("import", "stranger.jsonl")[2]


def test_ids_of_another_organization_in_a_file_mean_nobody(busy: World, run: Run) -> None:
    """A file may hold any id: of a member, of a team, of a Slack user in a workspace."""
    busy.apply("organization: {slug: globex, name: Globex}\nmembers: [{email: zoe@globex.test, name: Zoe Secret}]\n")
    with busy.store.read() as connection:
        zoe = connection.exec_driver_sql("SELECT id FROM member WHERE email = 'zoe@globex.test'").scalar_one()
    now = "2026-11-01T09:00:00+00:00"
    rich_text = {"type": "rich_text", "elements": [{"type": "member", "member_id": zoe}]}
    told = {"type": 3, "member": "ben@acme.test", "comment": f"<person:{zoe}> knows", "rich_text": rich_text}
    called = {"type": 101, "call": {"outcome": "called", "who": "team", "people": [[zoe, "Max"]]}}
    dates = dict.fromkeys(("date_started", "date_detected", "date_added"), now)
    entries = [{**one, "date_added": now} for one in (told, called)]
    incident = {"type": "incident", "identifier": 77, "title": "Imported", "status": 1, "status_method": 1}
    lines: list[dict[str, Any]] = [
        {"type": "tocsin-export", "version": 1, "organization": "acme"},
        {
            "type": "member",
            "email": "new@acme.test",
            "name": "New",
            "slack_user_ids": {"T0077": "U0001"},
            "date_added": now,
        },
        {**incident, **dates, "projects": ["checkout"], "activity": entries},
        {"type": "audit", "date_added": now, "origin": "slack", "action": "digest.change", "after": {"owner_id": zoe}},
    ]
    Path("ids.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    code, _, err = run("import", "ids.jsonl")
    assert (code, err) == (0, "")
    shown = busy.see(busy.ada, "activity 77").markup
    assert f"@{zoe} knows" in shown and "Max" in shown
    assert "Secret" not in shown + busy.ask(busy.ada, "audit").text
    with busy.store.read() as connection:
        assert (
            connection.exec_driver_sql("SELECT count(*) FROM comment_mention WHERE member_id = %s", (zoe,)).scalar()
            == 0
        )
        assert connection.exec_driver_sql("SELECT count(*) FROM member_slack_user").scalar() == 0


def test_a_file_does_not_take_the_workspace_of_another_organization(busy: World, run: Run) -> None:
    run("export", "one.jsonl")
    stolen = Path("one.jsonl").read_text(encoding="utf-8").replace('"acme"', '"globex"')
    Path("stolen.jsonl").write_text(stolen, encoding="utf-8")
    code, out, err = run("import", "stolen.jsonl")
    assert (code, out) == (2, "")
    assert "the workspace T0001 belongs to another organization already" in err
    assert "There are acme." in run("export", "--organization", "globex", "x")[2]
    assert "globex" not in busy.ask(busy.ada, "audit").text
