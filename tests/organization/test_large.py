"""An organization of any size: the work grows with the file and no faster, and every list of it in one statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, text

from bot.cli import main
from bot.organization.apply import apply
from bot.organization.file import OrganizationFile, parse
from storage.engine import Store
from storage.queries.organization import find_organization
from storage.queries.tokens import insert_token
from tests.statements import reads_the_time

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
PER_TEAM = 10  # projects


def company(teams: int, *, names: str = "", shift: int = 0) -> OrganizationFile:
    """Teams with ten projects and forty members each; everybody in two teams, every project of two."""
    lines = ["organization: {slug: acme, name: Acme, workspaces: [T0001]}", "teams:"]
    lines += [f"  - {{slug: t{n}, name: Team {n}{names}}}" for n in range(teams)]
    lines.append("projects:")
    for n in range(teams * PER_TEAM):
        of = f"t{(n + shift) % teams}, t{(n * 7 + 1 + shift) % teams}" if n % teams != (n * 7 + 1) % teams else "t0"
        lines.append(f"  - {{slug: p{n}, name: P{n}{names}, teams: [{of}], channels: [C{n + shift:04d}]}}")
    lines.append("members:")
    for n in range(teams * 40):
        slack = (n + shift) % (teams * 40)  # shifted: the ids change hands all around
        role = "owner" if n == 0 else "member"
        lines.append(
            f"  - {{email: m{n}@acme.test, name: M{n}{names}, slack: U{slack:05d}, role: {role},"
            f" teams: [t{(n + shift) % teams}]}}"
        )
    return parse("\n".join(lines), "acme.yaml")


SMALL = parse(
    "organization: {slug: acme, name: Acme, workspaces: [T0001]}\n"
    "members: [{email: m0@acme.test, name: M0, slack: U00000, role: owner}]",
    "acme.yaml",
)
Statement = tuple[str, Any]


@contextmanager
def counted(store: Store) -> Iterator[list[Statement]]:
    """The statements that run meanwhile."""
    seen: list[Statement] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if not reads_the_time():
            seen.append((statement, parameters))

    engines = (store._reading, store._writing)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def life(store: Store, teams: int) -> list[int]:
    """How many statements each of these takes: all is new, nothing is, all changes, all but the owner goes.

    SQLAlchemy adds a thousand new rows in a statement, and none of these has more.
    """
    counts = []
    for file in (company(teams), company(teams), company(teams, names="!", shift=1), SMALL):
        if file is SMALL:
            give_tokens(store)
        with counted(store) as seen:
            apply(store, file, NOW, prune=True, dry_run=False)
        counts.append(len(seen))
    return counts


def give_tokens(store: Store) -> None:
    """A token for each project."""
    with store.write() as tx:
        for project_id, organization_id in tx.execute(text("SELECT id, organization_id FROM project")).all():
            insert_token(
                tx,
                organization_id=organization_id,
                project_id=project_id,
                source="events",
                token_hash=f"{project_id}",
                secret_encrypted=None,
                now=NOW,
            )


def test_ten_times_the_organization_takes_no_more_statements(store: Store) -> None:
    small = life(store, 4)
    with store.write() as tx:
        tx.execute(text("DELETE FROM organization"))
    assert life(store, 20) == small


def rows_touched(plan: Mapping[str, Any]) -> int:
    """The most rows that a node of an executed plan gave."""
    below: Sequence[Mapping[str, Any]] = plan.get("Plans", ())
    return max([int(plan["Actual Rows"] * plan["Actual Loops"]), *map(rows_touched, below)])


def test_no_statement_joins_everything_with_everything(store: Store) -> None:
    file = company(20)
    with counted(store) as seen:
        apply(store, file, NOW, prune=False, dry_run=False)
    links = [(statement, parameters) for statement, parameters in seen if "WITH pair" in statement]
    assert len(links) == 3
    for statement, parameters in links:
        with store._writing.connect() as connection:
            for table in ("project_team", "project_channel", "member_team"):
                connection.execute(text(f"TRUNCATE {table}"))
            (explained,) = connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
            ).scalar_one()
            connection.rollback()
        assert rows_touched(explained["Plan"]) <= len(parameters["ones"])


def test_everything_of_a_large_file_is_where_it_belongs(store: Store) -> None:
    file = company(12, shift=1)
    for before in (company(12), file):
        apply(store, before, NOW, prune=True, dry_run=False)
    with store.read() as connection:
        state = find_organization(connection, "acme")
    assert state is not None
    assert {p.slug: (p.name, p.teams, p.channels) for p in state.projects.values()} == {
        p.slug: (p.name, frozenset(p.teams), frozenset(p.channels)) for p in file.projects
    }
    assert {m.email: (m.name, m.slack, m.teams) for m in state.members} == {
        m.email: (m.name, m.slack, frozenset(m.teams)) for m in file.members
    }


def test_a_statement_that_fails_is_not_blamed_on_the_url(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setattr("storage.queries.organization_changes._APPLY_TIMEOUT_S", 0.05)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme.yaml").write_text("organization: {slug: acme, name: Acme}", encoding="utf-8")
    with store.write() as tx:
        tx.execute(text("LOCK TABLE audit_entry IN ACCESS EXCLUSIVE MODE"))
        tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        code = main(["apply", "acme.yaml"])
    said = capsys.readouterr()
    assert code == 1
    assert "DATABASE_URL" not in said.err
    assert "nothing was" in said.err
