"""The CPU that processes have used, by the scheduler's own account: the load of the machine hardly moves it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection


def of_process(pid: int) -> float:
    """Milliseconds that the threads of a process and of its children have used which still run."""
    children = [child for task in Path(f"/proc/{pid}/task").glob("*/children") for child in _read(task).split()]
    return sum(_of_task(task) for one in (pid, *children) for task in Path(f"/proc/{one}/task").glob("*/schedstat"))


def of_backends(connection: Connection, application: str) -> float:
    """Milliseconds that PostgreSQL's backends have used which serve an application now."""
    pids = connection.exec_driver_sql(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %(name)s", {"name": application}
    ).scalars()
    return sum(_of_task(Path(f"/proc/{pid}/schedstat")) for pid in pids)


def of_backend(pid: int) -> float:
    """Milliseconds that a backend of PostgreSQL has used."""
    return _of_task(Path(f"/proc/{pid}/schedstat"))


def _of_task(account: Path) -> float:
    return int((_read(account) or "0").split()[0]) / 1e6


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # it has just ended
