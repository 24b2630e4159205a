"""`export` and `import` of what members have set up in Slack: digests, what they follow, and silences."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import Connection, text

from bot.digests.scheduler import fire_due
from bot.digests.silence_ends import end_due, hold_more
from bot.incidents.alerts import Alert, take
from bot.intake.tokens import Source
from bot.transfer import records
from bot.transfer.importing import Importer
from bot.transfer.records import Choice, IncidentRecord, Setup
from storage.errors import DatabaseAway
from storage.models import Base
from storage.queries import importing
from storage.queries.alertmanager import list_standing_silences
from storage.queries.tables import COLUMNS_LEFT_OUT, EXPORTED, NOT_EXPORTED, NOT_MOVED
from storage.rows import AlertKey
from storage.values import Status
from tests.stories.conftest import ORGANIZATION, Deliver, Run, World

Lines = list[dict[str, Any]]

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
FILE = ORGANIZATION.replace("slug: payments,", "slug: payments, remind_owner: 60m,")


@pytest.fixture
def furnished(world: World, deliver: Deliver) -> World:
    """What members set up, some of it paused, ended or for something that is over."""
    world.apply(FILE)
    deliver(Source.EVENTS, alert("db"))
    deliver(Source.EVENTS, alert("disk"))
    deliver(Source.EVENTS, alert("queue"))
    world.rest()
    for who, words in (
        (world.ada, 'digest add "weekdays at 9" tz:Europe/Berlin critical project:checkout'),
        (world.ada, 'digest add "0 17 * * 5" picture:no'),
        (world.ben, 'digest me "weekdays at 9"'),
        (world.ben, "subscribe team:payments critical"),
        (world.dan, "subscribe project:catalogue"),
        (world.ada, "silence 1 2h upgrade"),
        (world.dan, "maintenance team:search env:production 3h moving"),
        (world.ada, "silence 2 2h twice"),
        (world.ben, "take 3"),
    ):
        assert ":warning:" not in world.ask(who, words).text
    world.ask(world.ada, f"silence end {_ids(world, 'silence')[-1]}")
    world.ask(world.ada, f"digest pause {_ids(world, 'digest')[-1]}")
    world.ask(world.ben, "resolve 2")
    world.rest()
    return world


def alert(key: str) -> dict[str, Any]:
    started = STARTED.isoformat()
    return {
        "dedup_key": key,
        "title": f"{key} is slow",
        "status": "firing",
        "started_at": started,
        "labels": {"a": "b"},
    }


def _ids(world: World, table: str) -> list[int]:
    with world.store.read() as connection:
        return list(connection.execute(text(f"SELECT id FROM {table} ORDER BY id")).scalars())  # noqa: S608 - a table


def _records(file: str) -> Lines:
    lines = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines[1:] if line["type"] != "audit"]


def _write(file: str, records: Sequence[dict[str, Any]]) -> None:
    header = {"type": "tocsin-export", "version": 1, "organization": "acme"}
    Path(file).write_text("".join(f"{json.dumps(line)}\n" for line in [header, *records]), encoding="utf-8")


def _hold(world: World) -> None:
    """Has what is open compared with the silences. The bot may be doing it already."""

    def is_done() -> bool:
        hold_more(world.store, world.store.clock.now())
        with world.store.read() as connection:
            query = "SELECT NOT EXISTS (SELECT FROM silence WHERE hold_after IS NOT NULL)"
            return bool(connection.execute(text(query)).scalar_one())

    world.slack.wait_until(is_done, what="the silences")


def _forget(world: World) -> None:
    with world.store.write() as tx:
        tx.execute(text("DELETE FROM organization"))


def test_every_table_is_in_an_export_or_has_a_reason_not_to_be() -> None:
    tables = {table.name for table in Base.metadata.sorted_tables}
    assert EXPORTED.keys() | NOT_EXPORTED.keys() == tables
    assert not EXPORTED.keys() & NOT_EXPORTED.keys()
    assert NOT_EXPORTED.keys() >= NOT_MOVED
    kinds = {one.model_fields["type"].annotation for one in (*get_args(Setup), *get_args(Choice), IncidentRecord)}
    assert {get_args(kind)[0] for kind in kinds} | {"audit"} == set(EXPORTED.values())


# What the lines hold of each table that has values of its own, besides what they are in: a list or a link.
LINES: dict[str, set[str]] = {
    "organization": set(records.OrganizationRecord.model_fields),
    "workspace": {"connected_in_slack"},
    "team": set(records.TeamRecord.model_fields),
    "project": set(records.ProjectRecord.model_fields),
    "member": set(records.MemberRecord.model_fields),
    "digest": set(records.DigestRecord.model_fields),
    "personal_digest": set(records.PersonalDigestRecord.model_fields),
    "followed_filter": set(records.FollowedFilterRecord.model_fields),
    "silence": {*records.SilenceRecord.model_fields, "incident_id"},
    "incident": set(records.IncidentRecord.model_fields),
    "incident_seen": {*records.SeenRecord.model_fields, "incident_id"},
    "incident_subscription": {*records.FollowerRecord.model_fields, "incident_id"},
    "incident_activity": {*records.EntryRecord.model_fields, "incident_id"},
    "alert_memory": {*records.AlertRecord.model_fields, "incident_id", "source", "project_id", "alert_key"},
    "audit_entry": set(records.AuditRecord.model_fields),
}


@pytest.mark.parametrize("table", LINES)
def test_every_column_is_in_a_line_or_left_out_on_purpose(table: str) -> None:
    names = {column.name for column in Base.metadata.tables[table].columns} - {"id", "organization_id"}
    missing = {name for name in names if not {name, name.removesuffix("_id")} & LINES[table]}
    assert missing == COLUMNS_LEFT_OUT.get(table, frozenset())


def test_what_members_set_up_is_the_same_after_an_import(furnished: World, run: Run) -> None:
    world = furnished
    silences = world.ask(world.dan, "silence list").text
    assert "upgrade" in silences and "moving" in silences
    assert run("export", "one.jsonl")[0] == 0
    one = _records("one.jsonl")
    assert {line["type"] for line in one} == set(EXPORTED.values()) - {"audit"}
    assert [line["date_ended"] is None for line in one if line["type"] == "silence"] == [True, True, False]
    assert [line["date_paused"] is None for line in one if line["type"] == "digest"] == [True, False]
    assert [line["silence"] for line in one if line["type"] == "incident"] == [1, 3, None]

    code, out, _ = run("import", "one.jsonl")
    assert code == 0 and "acme: nothing added." in out  # here it is still

    _forget(world)
    dry = run("import", "--dry-run", "one.jsonl")[1]
    code, out, _ = run("import", "one.jsonl")
    assert code == 0
    added = "2 digests, 1 personal digest, 2 followed filters, 3 silences, 3 incidents"
    assert added in out and added in dry
    _hold(world)
    assert run("export", "two.jsonl")[0] == 0
    assert _records("two.jsonl") == one
    assert _without_ids(world.ask(world.dan, "silence list").text) == _without_ids(silences)
    with world.store.read() as connection:
        due = connection.execute(text("SELECT next_fire_at FROM digest WHERE date_paused IS NULL")).scalar_one()
        asked = connection.execute(text("SELECT count(*) FROM owner_reminder WHERE step = 0")).scalar_one()
    assert due > world.store.clock.now() and asked == 1
    imported = [json.loads(line) for line in Path("two.jsonl").read_text(encoding="utf-8").splitlines()]
    entry = next(line for line in imported if line.get("action") == "data.import")
    assert entry["after"] | {"digest": 2, "silence": 3, "followed filter": 2, "personal digest": 1} == entry["after"]
    assert "nothing added" in run("import", "one.jsonl")[1]


def test_after_an_import_alerts_and_silences_go_on_as_before(furnished: World, run: Run) -> None:
    world = furnished
    run("export", "one.jsonl")
    _forget(world)
    run("import", "one.jsonl")
    assert "db is slow" in world.ask(world.ada, "list silenced:yes").text
    for key in ("db", "disk", "queue"):
        assert _tell(world, key) is None, "told again: what a person closed stays closed"
    with world.store.write() as tx:
        tx.execute(text("UPDATE silence SET ends = starts + interval '1 microsecond'"))
    end_due(world.store, world.store.clock.now())
    note = world.ada.wait_for_message(containing="of #1 db is slow ended")
    assert "It held back 1 incident, which is still open" in note.text
    assert world.declare("The next one") == 4


def test_what_has_passed_on_the_way_is_not_made_up_for(furnished: World, run: Run) -> None:
    world = furnished
    run("export", "one.jsonl")
    lines = _records("one.jsonl")
    _forget(world)
    for line in lines:
        if line["type"] == "digest":
            line["last_sent"] = "2026-01-01T09:00:00+00:00"
        if line["type"] == "silence":
            line |= {
                name: f"2026-01-{day}{line['number']}T09:00:00+00:00" for name, day in (("starts", 0), ("ends", 1))
            }
            line["date_ended"] = line["date_ended"] and line["ends"]
    _write("old.jsonl", lines)
    assert run("import", "old.jsonl")[0] == 0
    now = world.store.clock.now()
    assert (fire_due(world.store, now), end_due(world.store, now)) == (0, 0)
    run("export", "two.jsonl")
    for line in lines:
        if line["type"] == "silence":
            line["date_ended"] = line["ends"]
    assert _records("two.jsonl") == lines


def test_what_cannot_be_there_is_left_out_and_named(furnished: World, run: Run) -> None:
    world = furnished
    run("export", "one.jsonl")
    _forget(world)
    world.apply(FILE.replace("T0001", "T0077").replace(", slack: U0001", ""))
    for _ in range(2):
        code, out, _err = run("import", "one.jsonl")
        assert code == 0 and "digests" not in out.splitlines()[0]
        for whose in ("the digest of ada@acme.test in the channel C0001", "the personal digest of ben@acme.test"):
            assert f"{whose} is left out, because acme does not use the workspace T0001 here." in out
    with world.store.read() as connection:
        there = "SELECT DISTINCT workspace_id, incident_id IS NULL FROM silence ORDER BY 2"
        assert [tuple(row) for row in connection.execute(text(there))] == [("T0077", False), ("T0077", True)]


def test_a_file_without_them_imports_and_one_with_them_adds_them_later(furnished: World, run: Run) -> None:
    world = furnished
    run("export", "one.jsonl")
    lines = _records("one.jsonl")
    _forget(world)
    new = {"silence", "silences", "alert", "connected_in_slack", "last_identifier", "date_erased"}
    old = [
        {name: value for name, value in line.items() if name not in new}
        for line in lines
        if line["type"] in ("organization", "team", "project", "member", "incident")
    ]
    _write("old.jsonl", old)
    assert run("import", "old.jsonl")[0] == 0
    assert "2 digests, 1 personal digest, 2 followed filters, 3 silences, " in run("import", "one.jsonl")[1]
    with world.store.read() as connection:
        made_from = "SELECT i.title FROM silence s JOIN incident i ON i.id = s.incident_id ORDER BY s.id"
        assert connection.execute(text(made_from)).scalars().all() == ["db is slow", "disk is slow"]
    _hold(world)
    silenced = world.ask(world.ada, "list silenced:yes").text
    assert "db is slow" in silenced and "disk is slow" not in silenced


def _cut_off_before_incidents(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that ends when it comes to the incidents."""

    def cut_off(*_: Any) -> None:
        raise DatabaseAway("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Importer, "_import_incidents", cut_off)
        assert run("import", "one.jsonl")[0] == 1


def test_an_import_that_was_cut_off_behind_them_goes_on(
    furnished: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = furnished
    run("export", "one.jsonl")
    _forget(world)
    _cut_off_before_incidents(run, monkeypatch)
    code, out, _ = run("import", "one.jsonl")
    assert code == 0 and "2 digests" in out.splitlines()[1] and "3 incidents" in out.splitlines()[0]
    run("export", "two.jsonl")
    assert _records("two.jsonl") == _records("one.jsonl")


def test_silences_are_locked_before_the_organization(
    furnished: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the worker that has them hold incidents: in another order, an import and the worker would deadlock."""
    run("export", "one.jsonl")
    real, free = importing.lock_numbers, []

    def lock_numbers(tx: Connection, organization_id: int) -> int:
        with furnished.store.write() as other:
            query = "SELECT id FROM silence WHERE project_id IS NOT NULL FOR NO KEY UPDATE SKIP LOCKED"
            free.append(other.execute(text(query)).scalars().all())
        return real(tx, organization_id)

    monkeypatch.setattr(importing, "lock_numbers", lock_numbers)
    assert run("import", "one.jsonl")[0] == 0
    assert free == [[]]


def test_a_silence_stays_in_alertmanager_before_its_incident_is_imported(
    furnished: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the bot, which may be running, would end it there."""
    world = furnished
    with world.store.write() as tx:
        tx.execute(text("UPDATE silence SET alertmanager_id = 'there' WHERE date_ended IS NULL AND incident_id > 0"))
    run("export", "one.jsonl")
    _forget(world)
    _cut_off_before_incidents(run, monkeypatch)
    for _ in range(2):
        with world.store.read() as connection:
            (there,) = list_standing_silences(connection)
        assert there.alertmanager_id == "there" and there.in_force and there.maker_sees
        assert run("import", "one.jsonl")[0] == 0
    with world.store.write() as tx:
        tx.execute(text("UPDATE member SET date_removed = now() WHERE name = 'Ada Obi'"))
    with world.store.read() as connection:
        (there,) = list_standing_silences(connection)
    assert not there.maker_sees


DIGEST = {"type": "digest", "workspace": "T0001", "channel": "C0001", "owner": "ada@acme.test", "cron": "0 9 * * *",
          "zone": "UTC", "date_added": "2026-11-01T09:00:00Z"}  # fmt: skip
FILTER = {"type": "followed_filter", "member": "ada@acme.test", "date_added": "2026-11-01T09:00:00Z"}
SILENCE = {"type": "silence", "number": 1, "member": "ada@acme.test", "matchers": {"source": "events"},
           "starts": "2026-11-01T09:00:00Z", "ends": "2999-11-01T09:00:00Z"}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (DIGEST | {"cron": "0 99 * * *"}, "line 2: digest.cron: "),
        (DIGEST | {"zone": "Mars/Olympus"}, "line 2: digest.zone: "),
        (DIGEST | {"filters": "seen:maybe"}, "line 2: digest.filters: "),
        (DIGEST | {"owner": "zoe@globex.test"}, "line 2: the digest names the member zoe@globex.test, which"),
        (FILTER, "line 2: followed_filter: Value error, needs a team, a project or a severity"),
        (FILTER | {"team": "secret"}, "line 2: the followed filter names the team secret, which"),
        (FILTER | {"project": "vault"}, "line 2: the followed filter names the project vault, which"),
        (SILENCE | {"matchers": {"team": "secret"}}, "line 2: the silence names the team secret, which"),
        (SILENCE | {"matchers": {"team": 1}}, "line 2: silence.matchers.team: "),
        (SILENCE | {"matchers": {"moon": "full"}}, "line 2: silence.matchers.moon: Extra inputs are not permitted"),
        (SILENCE | {"member": None}, "line 2: silence: Value error, nobody made it"),
        (SILENCE | {"ends": "2026-11-01T08:00:00Z"}, "line 2: silence: Value error, ends before it starts"),
    ],
)
def test_a_line_that_names_what_is_not_there_changes_nothing(
    world: World, run: Run, line: dict[str, Any], sentence: str
) -> None:
    """Also what another organization of the same database has."""
    world.apply(
        "organization: {slug: globex, name: Globex}\nteams: [{slug: secret, name: Secret}]\n"
        "projects: [{slug: vault, name: Vault}]\nmembers: [{email: zoe@globex.test, name: Zoe}]\n"
    )
    _write("bad.jsonl", [line, DIGEST | {"channel": "C0002", "date_added": "2026-11-02T09:00:00Z"}])
    for options in ((), ("--dry-run",)):
        code, out, err = run("import", *options, "bad.jsonl")
        assert (code, out) == (2, "")
        assert err.startswith(f"bad.jsonl: {sentence}")
    assert not _ids(world, "digest") and not _ids(world, "silence") and not _ids(world, "followed_filter")


@pytest.mark.usefixtures("furnished")
def test_an_incident_with_a_silence_that_the_file_lacks_is_refused(run: Run) -> None:
    run("export", "one.jsonl")
    _write("bad.jsonl", [line for line in _records("one.jsonl") if line["type"] != "silence"])
    assert "names the silence 1, which the organization does not have" in run("import", "bad.jsonl")[2]


def test_workspaces_members_and_numbers_are_as_they_were(world: World, run: Run) -> None:
    world.declare("The only one")
    world.rest()
    with world.store.write() as tx:
        tx.execute(text("UPDATE workspace SET connected_in_slack = true"))
        tx.execute(
            text(
                "INSERT INTO workspace (id, organization_id, date_disconnected)"
                " SELECT 'T0088', id, now() FROM organization"
            )
        )
        tx.execute(text("UPDATE member SET date_removed = now(), date_erased = now() WHERE name = 'Cyn Roe'"))
        tx.execute(text("DELETE FROM incident"))
    run("export", "one.jsonl")
    _forget(world)
    assert run("import", "one.jsonl")[0] == 0
    with world.store.read() as connection:
        found = connection.execute(text("SELECT id, connected_in_slack FROM workspace")).all()
        assert [tuple(row) for row in found] == [("T0001", True)]
        erased = connection.execute(text("SELECT name FROM member WHERE date_erased IS NOT NULL")).scalars().all()
        assert erased == ["Cyn Roe"]
    assert world.declare("The next one") == 2


def _without_ids(shown: str) -> str:
    return re.sub(r"silence \d+|`silence end \d+`|\b\d+\b(?= )", "", shown)


def _tell(world: World, key: str) -> int | None:
    """Takes an alert once more, as its system sends it again; the number of a new incident, if it opens one."""
    now = world.store.clock.now()
    with world.store.write() as tx:
        organization = tx.execute(text("SELECT id FROM organization")).scalar_one()
        project = tx.execute(text("SELECT id FROM project WHERE slug = 'checkout'")).scalar_one()
        before = tx.execute(text("SELECT max(identifier) FROM incident")).scalar_one()
        same = AlertKey("events", project, key)
        one = Alert(same, f"{key} is slow", firing=True, status=Status.OPEN, started=STARTED)
        take(tx, organization, [one], {}, now)
        after: int = tx.execute(text("SELECT max(identifier) FROM incident")).scalar_one()
    return after if after > before else None
