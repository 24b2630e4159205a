"""What a move refuses, and what it says: nobody's organization is deleted, or left unable to change, by a mistake."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text

from bot.cells import opening
from bot.doctor import _check_delivery
from bot.transfer import moving
from storage.embedded import as_superuser
from storage.engine import Store
from storage.queries import moving as queries
from tests.cells.conftest import ACME, find
from tests.cells.test_moving import Killed, interrupt
from tests.stories.conftest import Run, apply_file

HALF_WAY = (queries, "read_copy", lambda _tx, table, _source: table.name == "team")
AFTER_THE_COMMIT = (queries, "delete_batch", lambda _tx, table, _tenant: table.name == "team")
ORGANIZATIONS = "SELECT count(*) FROM organization"
UNFINISHED = "SELECT (SELECT count(*) FROM organization_move)"
FENCES = "SELECT count(*) FROM pg_trigger WHERE tgname ~ '^zz_moving'"


@dataclass
class Databases:
    """Two cells without a bot. Acme is in the first one."""

    first: Store
    two: Store
    run: Run
    patching: pytest.MonkeyPatch

    def move(self, *words: str) -> str:
        code, out, errors = self.run("move", "acme", *words)
        assert code == 0, errors
        return out

    def refuse(self, *words: str) -> str:
        code, out, errors = self.run("move", "acme", *words)
        assert (code, out) == (1, ""), errors
        return errors

    def kill(self, point: tuple[object, str, object], *words: str) -> None:
        with self.patching.context() as patch:
            interrupt(patch, *point)  # type: ignore[arg-type]
            with pytest.raises(Killed):
                self.run("move", "acme", *words)


@pytest.fixture
def databases(
    run: Run, database_url: str, cell_url: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Databases]:
    monkeypatch.setattr(moving, "NOTICED_WITHIN_S", 0.0)
    monkeypatch.setenv("TOCSIN_CELLS", f"two={cell_url.render_as_string(hide_password=False)}")
    first, two = Store.open(database_url), Store.open(cell_url)
    assert run("migrate")[0] == 0  # numbers the cell
    apply_file(first, tmp_path, ACME)
    yield Databases(first, two, run, monkeypatch)
    with first.write() as tx:  # the next test has the same database
        for organization_id in tx.scalars(text("SELECT id FROM organization")).all():
            for statement in queries.list_fence_removals(tx, organization_id):
                tx.exec_driver_sql(statement)
    first.close()
    two.close()


def test_the_way_back_is_refused_until_the_move_is_finished(databases: Databases) -> None:
    databases.kill(AFTER_THE_COMMIT, "two")
    for words in (["default"], ["default", "--cancel"]):
        assert "its move to the cell two is not finished; run `move acme two` first" in databases.refuse(*words)
    assert "cannot be cancelled" in databases.refuse("two", "--cancel")
    assert find(databases.two, ORGANIZATIONS) == find(databases.two, "SELECT count(*) FROM team") == 1
    databases.move("two")
    assert find(databases.first, ORGANIZATIONS) == 0
    databases.move("default")
    assert (find(databases.first, ORGANIZATIONS), find(databases.two, ORGANIZATIONS)) == (1, 0)


def test_what_no_move_has_put_into_the_target_is_not_taken_for_one(
    databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.kill(AFTER_THE_COMMIT, "two")
    assert "acme is in the cell two. Run `move acme two` again to delete" in capsys.readouterr().err
    with databases.first.write() as tx:  # as after a restore of a backup that is older than the move
        tx.execute(text("DELETE FROM organization_move"))
    for cell in ("two", "default"):
        assert "no move has put it there" in databases.refuse(cell)
    assert (find(databases.first, ORGANIZATIONS), find(databases.two, ORGANIZATIONS)) == (1, 1)

    code, _, errors = databases.run("after-restore")
    assert (code, "Run `move acme two`, which deletes what the backup has of it." in errors) == (1, True)
    assert "acme is in the cell two now." in databases.move("two")
    assert (find(databases.first, ORGANIZATIONS), find(databases.two, ORGANIZATIONS)) == (0, 1)
    assert find(databases.two, "SELECT count(*) FROM workspace WHERE paused_reason IS NULL") == 1
    assert databases.run("after-restore")[0] == 0


def test_a_database_that_is_named_twice_keeps_what_it_has(databases: Databases, cell_url: URL) -> None:
    databases.move("two")
    urls = [cell_url, cell_url.update_query_dict({"application_name": "again"})]
    two, three = (url.render_as_string(hide_password=False) for url in urls)
    databases.patching.setenv("TOCSIN_CELLS", f"two={two} three={three}")
    assert databases.run("move", "acme", "three")[0] == 2
    databases.patching.setattr(opening, "check_distinct", lambda _urls: frozenset())  # as if a cell were away for that
    assert "the cell three is the database that it is in, under another address" in databases.refuse("three")
    assert find(databases.two, ORGANIZATIONS) == find(databases.two, "SELECT count(*) FROM team") == 1


def test_a_move_to_another_cell_is_cancelled_by_its_own_name_only(databases: Databases) -> None:
    databases.kill(HALF_WAY, "two")
    assert "run `move acme two` first, or that with --cancel" in databases.refuse("default", "--cancel")
    assert find(databases.first, UNFINISHED) == 1
    assert "acme stays in the cell default." in databases.move("two", "--cancel")
    assert find(databases.first, UNFINISHED) == find(databases.first, FENCES) == 0
    assert "acme is not being moved." in databases.move("two", "--cancel")


def test_a_move_that_meets_a_conflict_is_taken_back(databases: Databases, tmp_path: Path) -> None:
    apply_file(databases.two, tmp_path, ACME.replace("acme, name: Acme", "other, name: Other"))
    assert "acme is not moved: the cell two already has something of the workspace." in databases.refuse("two")
    assert find(databases.first, UNFINISHED) == find(databases.first, FENCES) == 0
    assert find(databases.first, "SELECT count(*) FROM workspace WHERE paused_reason IS NOT NULL") == 0


def test_a_move_that_is_stopped_says_how_to_go_on_and_keeps_why_a_workspace_was_paused(
    databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    with databases.first.write() as tx:
        tx.execute(
            text(
                "INSERT INTO workspace (id, organization_id, paused_reason, paused_until, date_added,"
                " date_disconnected)"
                " SELECT v.id, o.id, v.why, now(), now(), v.gone FROM organization o,"
                " (VALUES ('T0008', 'disconnected', now()), ('T0009', 'token_revoked', NULL)) v (id, why, gone)"
            )
        )
    reasons = "SELECT array_agg(paused_reason ORDER BY id) FROM workspace"
    databases.kill(HALF_WAY, "two")
    assert (
        "acme cannot be changed and nothing is sent until you run this again, or `move acme two --cancel`."
        in capsys.readouterr().err
    )
    assert find(databases.first, reasons) == ["moving", "disconnected", "token_revoked"]
    said = [one for one in _check_delivery(databases.first) if "T0001" in one.says]
    assert len(said) == 1 and "is being moved" in said[0].says and "SLACK_BOT_TOKEN" not in str(said[0].fix)
    databases.move("two", "--cancel")
    assert find(databases.first, reasons) == [None, "disconnected", "token_revoked"]
    databases.move("two")
    assert find(databases.two, reasons) == [None, "disconnected", "token_revoked"]


def test_a_role_that_does_not_own_the_tables_is_noticed_before_anything_is_changed(databases: Databases) -> None:
    role = f"bot_{uuid.uuid4().hex[:12]}"
    with databases.first.read() as connection:
        assert queries.owns_tables(connection)
    admin = create_engine(as_superuser(databases.first.url))
    with admin.begin() as tx:
        tx.exec_driver_sql(f"CREATE ROLE {role}")
        tx.exec_driver_sql(f"SET LOCAL ROLE {role}")
        assert not queries.owns_tables(tx)
        tx.exec_driver_sql("RESET ROLE")
        tx.exec_driver_sql(f"DROP ROLE {role}")
    admin.dispose()
    databases.patching.setattr(queries, "owns_tables", lambda _connection: False)
    assert "acme is not moved: moving takes the role that owns the tables" in databases.refuse("two")
    assert find(databases.first, UNFINISHED) == 0
