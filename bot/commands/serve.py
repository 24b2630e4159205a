"""`serve`: runs the bot."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from typing import Annotated

import typer
from sqlalchemy import URL

from bot import stopping
from bot.commands.usage import load_settings, parse_number
from bot.database import open_database
from bot.error_reports import ErrorReports
from bot.loading import load
from bot.log import redact
from bot.processes import supervisor
from bot.processes.member import Member
from bot.processes.supervisor import MAX_WORKERS, check_workers
from bot.program import PROGRAM
from bot.settings import Role, Settings, SettingsError
from bot.stopping import stop_on_signals
from bot.trace_export import TraceExport
from storage.clock import Clock
from storage.errors import StartCancelled

_DEMO_HINT = f"To try the bot without Slack: {PROGRAM} demo"


def serve(
    role: Annotated[
        Role, typer.Option(help="web answers Slack and takes alerts, worker sends what is due, all does both.")
    ] = Role.ALL,
    workers: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            parser=parse_number(1, MAX_WORKERS),
            help="How many processes answer. With 2 or more, one more sends what is due.",
        ),
    ] = 1,
    while_stdin_open: Annotated[
        bool, typer.Option("--while-stdin-open", hidden=True, help="Stop when whoever started this is gone.")
    ] = False,
    group: Annotated[str | None, typer.Option(hidden=True, help="One of the processes of --workers.")] = None,
) -> int:
    """Runs the bot.

    It migrates the database, connects to Slack, takes alerts over HTTP, and sends what is due. Any number of processes
    may run on one database.
    """
    if group is None:
        return _serve(role, workers, None, while_stdin_open=while_stdin_open)
    member = _join_group(group)
    try:
        return _serve(role, workers, member, while_stdin_open=while_stdin_open)
    except Exception as error:
        from bot.commands.failures import explain_failure

        failure = explain_failure(error)
        if failure is None:
            raise
        code, sentence = failure
        member.report_failure(redact(sentence))
        return code


def _serve(role: Role, workers: int, member: Member | None, *, while_stdin_open: bool) -> int:
    clock = Clock()
    if while_stdin_open:
        threading.Thread(target=_obey_stdin, args=[clock], name="stdin", daemon=True).start()
    settings = load_settings()
    if missing := settings.find_missing(role):
        raise SettingsError(f"Not set: {' and '.join(missing)}. {_DEMO_HINT}")
    check_workers(settings, role, workers)
    with stop_on_signals(supervisor.LIMIT_S if workers > 1 else stopping.LIMIT_S) as stop:
        reports = ErrorReports(settings)
        traces = TraceExport(settings, role.value)
        try:
            if workers > 1:
                with open_database(settings, stop) as url:
                    return supervisor.supervise(settings, _share_database(settings, url), role, workers, stop)
            # Most of the program is loaded while the embedded database starts.
            loading = threading.Thread(target=load, args=["bot.serving"], name="loading", daemon=True)
            loading.start()
            try:
                with open_database(settings, stop) as url:
                    loading.join()
                    from bot.serving import serve as run

                    return run(settings, url, role, clock, stop, member)
            finally:
                loading.join()
        except StartCancelled:
            return 0
        finally:
            traces.stop()
            reports.stop()


def _join_group(descriptors: str) -> Member:
    try:
        return Member(descriptors)
    except (ValueError, OSError):
        raise SettingsError(
            "--group: only `serve --workers` gives this option, to the processes that it starts."
        ) from None


def _share_database(settings: Settings, url: URL) -> dict[str, str]:
    """The environment of the processes of a group. The embedded database is theirs by its URL."""
    if settings.database_url is not None:
        return dict(os.environ)
    return {**os.environ, "DATABASE_URL": url.render_as_string(hide_password=False)}


def _obey_stdin(clock: Clock) -> None:
    """Stops with whoever started this. The demo, which does, writes by how many seconds the clock is to be ahead."""
    # Not by sys.stdin, whose lock a thread that waits would hold when the interpreter ends.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        for line in stdin:
            clock.offset = timedelta(seconds=float(line))
    os.kill(os.getpid(), signal.SIGTERM)
