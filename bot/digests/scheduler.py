"""Records a fire for each digest that is due, and sets the next time of the digest.

APScheduler only starts a check every minute, and stores nothing. `digest.next_fire_at` decides which digests
are due. The transaction locks their rows, and a fire is unique by digest and time. So each fire is recorded once, with
any number of replicas, even if some are killed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from bot import tracing
from bot.digests.content import FIRST_NEWS_PERIOD
from bot.digests.grace import get_grace
from bot.digests.metrics import DigestMetrics
from bot.digests.schedule import parse_cron
from storage.engine import Store
from storage.queries import digest_fires
from storage.queries.digest_fires import DueDigest, FirePlan

log = structlog.get_logger(__name__)

# Digests in one transaction: enough to make ten thousand of them cheap, and few enough to commit quickly.
BATCH = 500
NOT_RUNNING = "Tocsin was not running."
# Cron's unit is the minute, so nothing fires twice within a second.
_MOMENT = timedelta(seconds=1)

# Says why nothing was done about a digest from when it was due until it was too late.
Explain = Callable[[datetime, datetime], str]


def fire_due(
    store: Store,
    now: datetime,
    explain: Explain = lambda _due, _too_late: NOT_RUNNING,
    metrics: DigestMetrics | None = None,
) -> int:
    """Records the fires of all digests that are due. Returns the number of new fires to publish.

    Raises DatabaseAway, Contended.
    """
    fired = 0
    while True:
        with ExitStack() as spans, store.write() as tx:
            due = digest_fires.lock_due_digests(tx, now, BATCH)
            if due:
                spans.enter_context(tracing.span("digest due", digests=len(due)))
            moves = [_plan_move(one, now, explain) for one in due]
            if due:
                fired += digest_fires.record_fires(tx, moves, now)
        if metrics is not None:
            metrics.finished.labels("missed").inc(sum(len(move.missed) for move in moves))
        if len(due) < BATCH:
            return fired


def _plan_move(due: DueDigest, now: datetime, explain: Explain) -> FirePlan:
    """Decides whether a due digest is published or was missed, and when it is due next.

    Of several times that have passed, only the latest can be published, because several digests would show the same
    state. Of those that were missed, the first and the last are recorded.
    """
    schedule, zone = parse_cron(due.cron), ZoneInfo(due.zone)
    latest, following = due.next_fire_at, schedule.next(due.next_fire_at, zone)
    if following <= now:
        latest = schedule.latest(due.next_fire_at, now, zone)
        following = schedule.next(latest, zone)
    too_late = latest + get_grace(due.grace_minutes, latest, following)
    if now > too_late:
        missed = sorted({due.next_fire_at, latest})
    elif latest > due.next_fire_at:
        missed = sorted({due.next_fire_at, schedule.latest(due.next_fire_at, latest - _MOMENT, zone)})
    else:
        missed = []
    fire_at = latest if now <= too_late else None
    reason = explain(missed[-1], min(too_late, now)) if missed else None
    if missed:
        log.warning(
            "a digest was missed",
            digest=due.id,
            due=due.next_fire_at.isoformat(),
            reason=reason,
            published_instead=fire_at.isoformat() if fire_at else None,
            next=following.isoformat(),
        )
    since = due.last_sent_at or (fire_at - FIRST_NEWS_PERIOD if fire_at else None)
    return FirePlan(due.organization_id, due.id, following, fire_at, since, missed, reason)
