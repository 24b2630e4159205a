"""How long `apply` takes for a large organization: `python -m benchmarks.organization [--projects N]`.

Reading the file, writing all of it, finding nothing to do, and changing every entry. The floor writes as many rows with
the same columns by psycopg2, one statement for each table, in a database that has nothing else to do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from psycopg2.extras import execute_values

from benchmarks import table
from benchmarks.table import Row
from bot.organization.apply import apply
from bot.organization.file import OrganizationFile, parse
from storage.embedded import scratch_postgres
from storage.engine import Store
from storage.migrate import migrate

MEMBERS_PER_PROJECT = 4
PROJECTS_PER_TEAM = 10
T = TypeVar("T")


def main() -> None:
    """Prints a table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=5000)
    projects: int = parser.parse_args().projects
    print("| what | s | ratio to the floor |\n|---|---:|---:|")
    with scratch_postgres() as url:
        migrate(url)
        store = Store.open(url, hung_after_s=None)
        floor, _ = _timed(lambda: _write_rows(store, projects))
        reading, file = _timed(lambda: parse(_text(projects), "acme.yaml"))
        changed = parse(_text(projects, names=" and more"), "acme.yaml")
        _row("reading the file", reading, floor)
        _row("all is new", _timed(lambda: _apply(store, file))[0], floor)
        _row("nothing to do", _timed(lambda: _apply(store, file))[0], floor)
        _row("every name changes", _timed(lambda: _apply(store, changed))[0], floor)
        _row("floor: the rows alone", floor, floor)
        store.close()


def _row(what: str, seconds: float, floor: float) -> None:
    print(f"| {what} | {seconds:.1f} | {seconds / floor:.1f} |", flush=True)
    if seconds != floor:
        table.record(Row(f"apply: {what}", "s", seconds, floor, wanted=10.0))


def _timed(act: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = act()
    return time.perf_counter() - began, result


def _apply(store: Store, file: OrganizationFile) -> None:
    apply(store, file, store.clock.now(), prune=False, dry_run=False)


def _text(projects: int, names: str = "") -> str:
    teams = max(1, projects // PROJECTS_PER_TEAM)
    lines = ["organization: {slug: acme, name: Acme, workspaces: [T0001]}", "teams:"]
    lines += [f"  - {{slug: t{n}, name: Team {n}{names}}}" for n in range(teams)]
    lines += ["projects:"]
    lines += [
        f"  - {{slug: p{n}, name: Project {n}{names}, teams: [t{n % teams}], channels: [C{n:06}]}}"
        for n in range(projects)
    ]
    lines += ["members:"]
    lines += [
        f"  - {{email: m{n}@acme.test, name: Member {n}{names}, slack: U{n:06}, role: {'member' if n else 'owner'},"
        f" teams: [t{n % teams}]}}"
        for n in range(projects * MEMBERS_PER_PROJECT)
    ]
    return "\n".join(lines)


def _write_rows(store: Store, projects: int) -> None:
    """The same rows for another organization, in one transaction."""
    teams, members = max(1, projects // PROJECTS_PER_TEAM), projects * MEMBERS_PER_PROJECT
    with store.write() as tx:
        cursor = tx.connection.cursor()
        added = "INSERT INTO organization (slug, name) VALUES ('floor', 'Floor') RETURNING id"
        organization = tx.exec_driver_sql(added).scalar_one()

        def write(table: str, columns: str, rows: Sequence[tuple[object, ...]]) -> list[int]:
            statement = f"INSERT INTO {table} ({columns}) VALUES %s"  # noqa: S608  # constants of this module
            returning = f"{statement} RETURNING id" if "slug" in columns or "email" in columns else statement
            found = execute_values(cursor, returning, rows, page_size=len(rows), fetch=returning != statement)
            return [row[0] for row in found or ()]

        team = write(
            "team", "organization_id, slug, name", [(organization, f"t{n}", f"Team {n}") for n in range(teams)]
        )
        of_projects = [(organization, f"p{n}", f"Project {n}") for n in range(projects)]
        project = write("project", "organization_id, slug, name", of_projects)
        of_members = [(organization, f"m{n}@acme.test", f"Member {n}", f"U{n}", "member") for n in range(members)]
        member = write("member", "organization_id, email, name, slack_user_id, role", of_members)
        write("project_team", "project_id, team_id", [(id_, team[n % teams]) for n, id_ in enumerate(project)])
        write("project_channel", "project_id, channel_id", [(id_, f"C{n:06}") for n, id_ in enumerate(project)])
        write("member_team", "member_id, team_id", [(id_, team[n % teams]) for n, id_ in enumerate(member)])


if __name__ == "__main__":
    main()
