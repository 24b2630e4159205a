"""The deadlines of the product, made so long that a busy machine misses none of them.

A test that is about a deadline keeps those that it names, with the marker `production_deadlines`, or all where it names
none. Processes of the bot that tests start call `be_patient` themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from httpx._config import DEFAULT_TIMEOUT_CONFIG
from websockets.sync import client as web_sockets

import bot.doctor.database
import bot.incidents.cards
import bot.intake.http
import bot.intake.service
import bot.processes.member
import bot.processes.supervisor
import bot.replicas
import bot.slack.background
import bot.slack.connections
import bot.slack.deadline
import bot.slack.files
import sandbox.interactions
import sandbox.server
import storage.preflight
import storage.session_settings
from bot.alertmanager import client as alertmanager
from bot.app import Bot
from bot.delivery import service as delivery
from bot.digests import publisher
from bot.slack.clients import web_client
from bot.slack.files import upload_picture
from sandbox import Sandbox
from storage import engine

PATIENCE_S = 60.0  # nobody waits so long in vain
# For a process to end: longer than all that it may wait for meanwhile, each of which takes PATIENCE_S at most.
END_S = 2.5 * PATIENCE_S
START_S = 2 * PATIENCE_S  # for a process to start, which waits for its database meanwhile
_PATIENCE_MS = int(PATIENCE_S * 1000)


def _defaults(function: Any) -> dict[str, Any]:
    """The defaults of a function's named parameters, which can be changed."""
    found: dict[str, Any] = getattr(function, "__func__", function).__kwdefaults__
    return found


# Where each deadline is, its name there, and its value for tests.
_PATIENT: tuple[tuple[dict[str, Any], str, float], ...] = (
    # The database.
    (_defaults(engine.create_pool), "statement_timeout_ms", _PATIENCE_MS),
    (vars(storage.preflight), "STATEMENT_TIMEOUT_MS", _PATIENCE_MS),
    (vars(bot.doctor.database), "STATEMENT_TIMEOUT_MS", _PATIENCE_MS),
    (vars(storage.preflight), "_HUNG_AFTER_S", PATIENCE_S),
    (vars(storage.session_settings), "LOCK_TIMEOUT_MS", _PATIENCE_MS),
    (vars(storage.session_settings), "IDLE_IN_TRANSACTION_TIMEOUT_MS", _PATIENCE_MS),
    (engine._CONNECT_OPTIONS, "connect_timeout", int(PATIENCE_S)),
    (_defaults(engine.create_pool), "wait_s", PATIENCE_S),
    (_defaults(engine.Store.open), "wait_s", PATIENCE_S),
    (_defaults(engine.Store.open), "hung_after_s", PATIENCE_S),
    (_defaults(engine.Store.open_beside), "hung_after_s", PATIENCE_S),
    (vars(delivery), "POOL_WAIT_S", PATIENCE_S),
    (vars(bot.intake.http), "POOL_WAIT_S", PATIENCE_S),
    # Calls to Slack and to Alertmanager, and the web sockets.
    (_defaults(web_client), "timeout_s", PATIENCE_S),
    (vars(bot.slack.background), "CALL_TIMEOUT_S", PATIENCE_S),
    (vars(bot.slack.files), "UPLOAD_TIMEOUT_S", PATIENCE_S),
    (_defaults(upload_picture), "patience_s", PATIENCE_S),
    (vars(bot.slack.connections), "OPEN_TIMEOUT_S", PATIENCE_S),
    (vars(bot.slack.connections), "PONG_TIMEOUT_S", PATIENCE_S),
    (vars(bot.slack.connections), "RENEWAL_TIMEOUT_S", PATIENCE_S),
    (vars(alertmanager), "READ_S", PATIENCE_S),
    (vars(alertmanager), "CHANGE_S", PATIENCE_S),
    # Requests, deliveries and pictures.
    (vars(bot.slack.deadline), "DEADLINE_S", PATIENCE_S),
    (_defaults(Bot.__init__), "deadline_s", PATIENCE_S),
    (vars(bot.incidents.cards), "_WAIT_S", PATIENCE_S),
    (vars(bot.intake.http), "LINGER_S", PATIENCE_S),
    (vars(bot.intake.service), "_SEPARATELY_S", PATIENCE_S),
    (vars(publisher), "RENDER_TIMEOUT_S", PATIENCE_S),
    # What processes ask each other, and what each leaves in order when it ends.
    (vars(bot.processes.member), "ASK_S", PATIENCE_S),
    (vars(bot.processes.supervisor), "_ANSWER_S", PATIENCE_S),
    (vars(bot.replicas), "_STOP_S", PATIENCE_S),
    # The clients of HTTP and web sockets that tests use.
    (_defaults(web_sockets.connect), "open_timeout", PATIENCE_S),
    *((vars(DEFAULT_TIMEOUT_CONFIG), name, PATIENCE_S) for name in ("connect", "read", "write", "pool")),
    # The workspace on localhost, which waits as Slack does.
    (_defaults(Sandbox.__init__), "acknowledge_seconds", PATIENCE_S),
    (vars(sandbox.interactions), "TRIGGER_SECONDS", PATIENCE_S),
    (vars(sandbox.server), "START_SECONDS", PATIENCE_S),
)

_PRODUCTION = tuple((place, name, place[name]) for place, name, _ in _PATIENT)


# The time-outs of a session of the database, which it can be asked for.
SESSION_TIMEOUTS = (
    "statement_timeout_ms",
    "STATEMENT_TIMEOUT_MS",
    "LOCK_TIMEOUT_MS",
    "IDLE_IN_TRANSACTION_TIMEOUT_MS",
)


def be_patient() -> None:
    """Makes the deadlines of this process patient."""
    for place, name, value in _PATIENT:
        place[name] = value


@contextmanager
def production_deadlines(*names: str) -> Iterator[None]:
    """Inside, these deadlines are those of production; without names, all are."""
    unknown = set(names) - {name for _, name, _ in _PRODUCTION}
    assert not unknown, f"no deadlines: {unknown}"
    for place, name, value in _PRODUCTION:
        if name in names or not names:
            place[name] = value
    try:
        yield
    finally:
        be_patient()
