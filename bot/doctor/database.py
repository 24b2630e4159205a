"""The checks of `doctor` in the database: the session, the role, the processes that run, and what waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bot.doctor.finding import Finding
from storage.engine import Store
from storage.queries import doctor as queries
from storage.queries.backlog import Backlog, Waiting, find_backlog
from storage.queries.replicas import ReplicaRow, list_replicas
from storage.session_settings import STATEMENT_TIMEOUT_MS, build_settings
from storage.values import Urgency

_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
# A process whose clock is off by more than this has log lines that nobody can match, and may refuse certificates.
MAX_CLOCK_AHEAD_S = 60
# Seconds after which what waits is late, as in deploy/prometheus/tocsin.rules.yml.
_LATE_S = {Urgency.URGENT: 30, Urgency.CHANGE: 300, Urgency.NEWS: 300, Urgency.BULK: 300}
_CALLS_LATE_S = 60
_DIGESTS_LATE_S = 120
_LATE_FIX = (
    "Check that a process with `--role worker` or `--role all` runs, and its log; docs/monitoring.md says what else to"
    " look at."
)


def check_session(store: Store) -> Iterator[Finding]:
    """The time-outs of the bot's sessions, its role, and the extension."""
    with store.read() as connection:
        in_force = queries.get_timeouts_ms(connection, _TIMEOUTS)
        role = queries.get_role(connection)
        extension = queries.find_trigrams(connection)
    yield judge_timeouts(in_force)
    yield judge_role(role)
    if extension is not None:
        yield Finding("extension", f"pg_trgm {extension}")


def judge_role(role: queries.RoleRow) -> Finding:
    """What the role may do. Row-level security should bind it; the bot works without, so that is no fault."""
    rights = "reads and writes the tables" + (" and may change the schema" if role.may_migrate else "")
    if not role.superuser and not role.bypasses_row_security:
        return Finding("role", f"{role.name} {rights}")
    power = "is a superuser" if role.superuser else "has BYPASSRLS"
    says = f"{role.name} {rights}; it {power}, so row-level security does not protect organizations from each other"
    fix = f"Run ALTER ROLE {role.quoted_name} NOSUPERUSER NOBYPASSRLS as another superuser."
    if role.superuser and (role.first or not role.owns_tables):
        fix = (
            "Give the tables to a role that is no superuser: docs/database.md has the statements under"
            ' "From a superuser to a plain role".'
        )
    return Finding("role", says, fix, works=True)


def judge_timeouts(in_force_ms: Mapping[str, int]) -> Finding:
    """Whether the time-outs of a session are those that the bot sets. Of a name that is missing, nothing is known."""
    wanted = build_settings(STATEMENT_TIMEOUT_MS)
    wrong = [
        f"{name} is {in_force_ms.get(name)} ms instead of {wanted[name]}"
        for name in _TIMEOUTS
        if str(in_force_ms.get(name)) != wanted[name]
    ]
    if wrong:
        fix = "Something between the bot and the server drops or changes SET; docs/database.md says what poolers need."
        return Finding("time-outs", "; ".join(wrong), fix)
    return Finding("time-outs", ", ".join(f"{name} {in_force_ms[name]} ms" for name in _TIMEOUTS))


def check_processes(store: Store) -> Iterator[Finding]:
    """The processes of `serve` that run on the database."""
    with store.read() as connection:
        replicas = list_replicas(connection, store.clock.now())
    yield judge_replicas(replicas)
    for replica in replicas:
        apart_s = abs(replica.clock_ahead_s)
        if apart_s > MAX_CLOCK_AHEAD_S:
            yield Finding(
                "clock",
                f"that of {replica.host} ({replica.role}) is {apart_s:.0f} s away from the database's",
                "Have it set over the network (NTP). The bot goes by the database's time, but log lines and"
                " certificates by the machine's.",
            )


def judge_replicas(replicas: Sequence[ReplicaRow]) -> Finding:
    """Whether the processes that run do all that is to be done, in one version."""
    if not replicas:
        return Finding("processes", "none runs on this database at the moment")
    shown = ", ".join(f"{one.role} {one.version} on {one.host}" for one in replicas)
    roles = {one.role for one in replicas}
    if not roles & {"worker", "all"}:
        return Finding("processes", f"{shown}; nothing is sent", "Start one with `--role worker`.")
    if not roles & {"web", "all"}:
        return Finding("processes", f"{shown}; nobody answers Slack and takes alerts", "Start one with `--role web`.")
    if len({one.version for one in replicas}) > 1:
        fix = "That is right during an upgrade. Otherwise upgrade or stop the old ones."
        return Finding("processes", f"several versions run: {shown}", fix)
    return Finding("processes", shown)


def check_lag(store: Store, workspaces: list[str]) -> Iterator[Finding]:
    """What waits in these workspaces for longer than it should."""
    with store.read() as connection:
        found = find_backlog(connection, workspaces, store.clock.now())
    late = list(_find_late(found))
    for says in late:
        yield Finding("lag", says, _LATE_FIX)
    if not late:
        yield Finding("lag", "nothing waits for longer than it should")


def _find_late(found: Backlog) -> Iterator[str]:
    for urgency, waiting in found.delivery.items():
        if waiting.oldest_s > _LATE_S[urgency]:
            name = urgency.name.lower()
            yield f"{_count(waiting, f'{name} message')} to be sent, the oldest for {waiting.oldest_s:.0f} s"
    if found.calls.oldest_s > _CALLS_LATE_S:
        yield f"{_count(found.calls, 'call')} to be made, the oldest for {found.calls.oldest_s:.0f} s"
    if found.digests.oldest_s > _DIGESTS_LATE_S:
        yield f"{_count(found.digests, 'digest')} to be published, the oldest for {found.digests.oldest_s:.0f} s"


def _count(waiting: Waiting, what: str) -> str:
    return f"1 {what} waits" if waiting.count == 1 else f"{waiting.count} {what}s wait"
