"""`serve`: runs the bot."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from importlib import import_module
from typing import Annotated

import typer

from bot.commands.usage import load_settings
from bot.database import open_database
from bot.error_reports import ErrorReports
from bot.program import PROGRAM
from bot.settings import Role, SettingsError
from bot.trace_export import TraceExport
from storage.clock import Clock

_DEMO_HINT = f"To try the bot without Slack: {PROGRAM} demo"


def serve(
    role: Annotated[
        Role, typer.Option(help="web answers Slack and takes alerts, worker sends what is due, all does both.")
    ] = Role.ALL,
    while_stdin_open: Annotated[
        bool, typer.Option("--while-stdin-open", hidden=True, help="Stop when whoever started this is gone.")
    ] = False,
) -> int:
    """Runs the bot.

    It migrates the database, connects to Slack, takes alerts over HTTP, and sends what is due. Any number of processes
    may run on one database.
    """
    clock = Clock()
    if while_stdin_open:
        threading.Thread(target=_obey_stdin, args=[clock], name="stdin", daemon=True).start()
    settings = load_settings()
    if missing := settings.find_missing(role):
        raise SettingsError(f"Not set: {' and '.join(missing)}. {_DEMO_HINT}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    reports = ErrorReports(settings)
    traces = TraceExport(settings, role.value)
    try:
        # Most of the program is loaded while the embedded database starts.
        loading = threading.Thread(target=import_module, args=["bot.serving"], name="loading", daemon=True)
        loading.start()
        with open_database(settings) as url:
            loading.join()
            from bot.serving import serve as run

            return run(settings, url, role, clock, stop)
    finally:
        traces.stop()
        reports.stop()


def _obey_stdin(clock: Clock) -> None:
    """Stops with whoever started this. The demo, which does, writes by how many seconds the clock is to be ahead."""
    # Not by sys.stdin, whose lock a thread that waits would hold when the interpreter ends.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        for line in stdin:
            clock.offset = timedelta(seconds=float(line))
    os.kill(os.getpid(), signal.SIGTERM)
