"""Makes the steps that are due, each once: checks that nobody has the incident, and enqueues the messages.

A step is taken with SKIP LOCKED and done in one transaction with the messages that it enqueues, so any number of
replicas make it once, even if some are killed. Its incident is locked too: who takes the incident comes before or
after the step, never between. Nothing is sent here; delivery does that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from bot import tracing
from bot.calls.metrics import CallMetrics
from bot.calls.quiet_hours import find_end
from bot.incidents import silences
from bot.messages.calls import render_blind_note
from storage.call_rows import Callee, CallOutcome, CallRecord, DueStep, StepKey
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import call_messages, calls, destinations, digests, outbox
from storage.queries.calls import StepResult
from storage.values import PostKind, Status, Urgency, Work

log = structlog.get_logger(__name__)

# Steps in one transaction. It holds the rows of their incidents, for which people who act on them wait.
BATCH = 100
# A silence whose end has passed holds until a tick has ended it.
HELD_WAIT = timedelta(seconds=5)
# A step that could not be made for an unexpected reason is tried again after this.
FAILED_WAIT = timedelta(minutes=1)


def fire_due(store: Store, now: datetime, metrics: CallMetrics | None = None) -> int:
    """Makes all steps that are due. Returns how many have called somebody.

    A step that fails must not keep others from being called: the steps are made one by one then, and it waits. Raises
    DatabaseAway, Contended.
    """
    metrics = metrics or CallMetrics(CollectorRegistry())
    called = 0
    while True:
        try:
            with store.write() as tx:
                made = fire_batch(tx, now)
        except (DatabaseAway, Contended):
            raise
        except Exception:
            log.exception("calls could not be made together")
            made = _fire_one(store, now, metrics)
        if made is None:
            return called
        metrics.record(made)
        called += sum(one.outcome == CallOutcome.CALLED for one in made)


def _fire_one(store: Store, now: datetime, metrics: CallMetrics) -> Sequence[StepResult] | None:
    try:
        with store.write() as tx:
            return fire_batch(tx, now, most=1)
    except (DatabaseAway, Contended):
        raise
    except Exception:
        with store.write() as tx:
            for step in calls.lock_due_steps(tx, now, 1):
                log.exception("a call could not be made", step=step.key)
                calls.record_results(tx, [StepResult(step.key, due_at=now + FAILED_WAIT)], now)
        metrics.steps.labels("failed").inc()
        return ()


def fire_batch(tx: Connection, now: datetime, *, most: int = BATCH) -> Sequence[StepResult] | None:
    """Makes up to `most` steps that are due. Returns what became of each; None if none was due."""
    due = calls.lock_due_steps(tx, now, most)
    if not due:
        return None
    unheld: dict[int, set[int]] = {}  # incidents by organization
    for step in due:
        if step.has_silences and step.silenced_until is None:
            unheld.setdefault(step.key.organization_id, set()).add(step.key.incident_id)
    held = [silences.hold_before_call(tx, organization_id, ids, now) for organization_id, ids in sorted(unheld.items())]
    if any(held):
        due = calls.lock_due_steps(tx, now, most)
    with tracing.span("calls due", steps=len(due)):
        return _make_steps(tx, due, now)


def _make_steps(tx: Connection, due: Sequence[DueStep], now: datetime) -> Sequence[StepResult]:
    acknowledged = calls.list_acknowledged(tx, [step for step in due if step.until_acknowledged])
    results: list[StepResult] = []
    callable_steps: list[DueStep] = []
    for step in due:
        result = _find_stop(step, now, acknowledged=step.key in acknowledged)
        if result is None:
            callable_steps.append(step)
        else:
            results.append(result)
    callees = calls.list_callees(tx, callable_steps) if callable_steps else {}
    seeing = {step.key: [one for one in callees[step.key] if one.sees] for step in callable_steps}
    results += [
        StepResult(step.key, CallOutcome.CALLED if seeing[step.key] else CallOutcome.NOBODY) for step in callable_steps
    ]
    calls.record_results(tx, results, now)
    silenced = {
        (step.key.organization_id, step.key.incident_id): end for step in due if (end := _find_silence_end(step, now))
    }
    calls.resume(tx, silenced)
    if callable_steps:
        _call(tx, callable_steps, callees, seeing, now)
    return results


def _find_silence_end(step: DueStep, now: datetime) -> datetime | None:
    """When a step of a silenced incident is to be looked at again; None if no silence holds the incident."""
    return None if step.silenced_until is None else max(step.silenced_until, now + HELD_WAIT)


def _find_stop(step: DueStep, now: datetime, *, acknowledged: bool) -> StepResult | None:
    """Why a step calls nobody now; None if it does."""
    if not step.incidents_on or step.workspace_id is None:
        return StepResult(step.key, "off")
    if step.status is Status.CLOSED:
        return StepResult(step.key, "resolved")
    if step.status is not step.severity:
        return StepResult(step.key, "superseded")
    if step.owner_id is not None:
        return StepResult(step.key)  # it goes on when the incident is released
    if end := _find_silence_end(step, now):
        return StepResult(step.key, due_at=end)
    if acknowledged:
        return StepResult(step.key, "acknowledged")
    if step.quiet and (end := find_end(step.quiet, step.timezone, now)):
        return StepResult(step.key, due_at=end)
    return None


def _call(
    tx: Connection,
    steps: Sequence[DueStep],
    callees: Mapping[StepKey, Sequence[Callee]],
    seeing: Mapping[StepKey, Sequence[Callee]],
    now: datetime,
) -> None:
    calls.insert_repetitions(tx, [step.key for step in steps if step.repeat_s is not None], now)
    reached = {step.key.incident_id for step in steps if seeing[step.key]}
    unreached = [step.key for step in steps if step.key.incident_id not in reached]
    hastened = calls.hasten_next(tx, unreached, now) if unreached else set()
    records = [
        (
            step.key,
            CallRecord(
                CallOutcome.CALLED if seeing[step.key] else CallOutcome.NOBODY,
                step.who,
                step.team,
                [(one.member_id, one.name) for one in seeing[step.key]],
                [(one.member_id, one.name) for one in callees[step.key] if not one.sees],
                next_at_once=step.key.incident_id in hastened,
            ),
        )
        for step in steps
    ]
    calls.insert_records(tx, records, now)
    _enqueue_messages(tx, steps, seeing, now)
    for step in steps:
        for one in callees[step.key]:
            if not one.sees:
                _notify_managers(tx, step, one, now)
    log.info("calls were made", steps=len(steps), reached=len(reached))


def _enqueue_messages(
    tx: Connection, steps: Sequence[DueStep], seeing: Mapping[StepKey, Sequence[Callee]], now: datetime
) -> None:
    people = {(step.workspace_id or "", one.member_id) for step in steps for one in seeing[step.key]}
    if not people:
        return
    locked = destinations.lock_destinations(tx, {}, people, now)
    destination_of = {member_id: id_ for (_, member_id), id_ in locked.people.items()}
    called = [(step.key, one.member_id) for step in steps for one in seeing[step.key]]
    call_messages.create_calls(tx, called, destination_of, now)
    destinations.reschedule_destinations(tx, locked.ids, now)
    outbox.wake_after_commit(tx, Work.POSTS)


def _notify_managers(tx: Connection, step: DueStep, one: Callee, now: datetime) -> None:
    """Tells the managers of somebody who should have been called; once a day for each person and team."""
    for manager_id in digests.list_all_managers(tx, step.key.organization_id):
        outbox.enqueue(
            tx,
            workspace_id=step.workspace_id or "",
            member_id=manager_id,
            kind=PostKind.NOTE,
            key=f"not called:{step.team_id}:{one.member_id}:{now:%Y-%m-%d}:{manager_id}",
            message=render_blind_note(step, one),
            now=now,
            urgency=Urgency.NEWS,
        )
