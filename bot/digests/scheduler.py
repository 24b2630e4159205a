"""Records a fire for each digest that is due, and sets the next time of the digest.

The tick of APScheduler only starts a check, and APScheduler stores nothing. `digest.next_fire_at` decides which digests
are due. The transaction locks their rows, and a fire is unique by digest and time. So each fire is recorded once, with
any number of replicas, even if some are killed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from bot.digests.content import FIRST_NEWS_PERIOD
from bot.digests.schedule import parse_cron
from storage.engine import Store
from storage.queries import digest_fires
from storage.queries.digest_fires import DueDigest, FirePlan

log = structlog.get_logger(__name__)

# Digests in one transaction: enough to make ten thousand of them cheap, and few enough to commit quickly.
BATCH = 500


def fire_due(store: Store, now: datetime) -> int:
    """Records the fires of all digests that are due. Returns the number of new fires.

    Raises DatabaseAway, Contended.
    """
    fired = 0
    while True:
        with store.write() as tx:
            due = digest_fires.lock_due_digests(tx, now, BATCH)
            if due:
                fired += digest_fires.record_fires(tx, [_plan_move(one, now) for one in due], now)
        if len(due) < BATCH:
            return fired


def _plan_move(due: DueDigest, now: datetime) -> FirePlan:
    """Decides which time of a due digest is published, and when the digest is due next.

    Only the latest time within the grace period is published. Earlier times are skipped, because after an hour without
    a replica, several digests would show the same state.
    """
    schedule, zone = parse_cron(due.cron), ZoneInfo(due.zone)
    oldest = now - timedelta(minutes=due.grace_minutes)
    fire_at = due.next_fire_at if due.next_fire_at >= oldest else None
    following = schedule.next(due.next_fire_at, zone)
    skipped = fire_at is None
    if following <= now:
        skipped = True
        for moment in schedule.after(max(due.next_fire_at, oldest - timedelta(minutes=1)), zone):
            following = moment
            if moment > now:
                break
            if moment >= oldest:
                fire_at = moment
    if skipped:
        log.warning(
            "a digest was skipped while nothing ran",
            digest=due.id,
            due=due.next_fire_at.isoformat(),
            published_instead=fire_at.isoformat() if fire_at else None,
            next=following.isoformat(),
        )
    since = due.last_fire_at or (fire_at - FIRST_NEWS_PERIOD if fire_at else None)
    return FirePlan(due.id, following, fire_at, since)
