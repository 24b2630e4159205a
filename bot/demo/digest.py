"""The digest of the demo: one is a minute away when the demo begins, and the workspace's clock brings it on."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection, exists, select, update

from bot.demo.company import SLUG
from sandbox import Sandbox
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.models import Digest, DigestFire, Organization

log = structlog.get_logger(__name__)

SOON = timedelta(minutes=1)

_OF_ACME = Digest.organization_id == select(Organization.id).where(Organization.slug == SLUG).scalar_subquery()


def there_is_one(connection: Connection) -> bool:
    """Whether Acme has a digest."""
    return bool(connection.scalar(select(exists().where(_OF_ACME))))


def was_sent_since(connection: Connection, moment: datetime) -> bool:
    """Whether one of Acme's digests has gone out after `moment`."""
    sent = select(DigestFire.id).join(Digest, Digest.id == DigestFire.digest_id)
    sent = sent.where(_OF_ACME, DigestFire.state == "sent", DigestFire.fire_at > moment)
    return bool(connection.scalar(select(exists(sent))))


def bring_near(tx: Connection, now: datetime) -> None:
    """Lets the digests come in a minute, instead of at their next time; those that are paused stay so."""
    tx.execute(update(Digest).where(_OF_ACME, Digest.next_fire_at > now + SOON).values(next_fire_at=now + SOON))


class FollowsTheClock:
    """When the workspace's clock is moved, what would have been due by then is due now. The bot's own time cannot
    be moved: it is this machine's.
    """

    def __init__(self, slack: Sandbox, store: Store) -> None:
        self._clock = slack.clock
        self._store = store
        self._ahead = self._now_ahead()
        self._clock.when_moved(self._moved)

    def _now_ahead(self) -> float:
        return self._clock.now() - time.time()

    def _moved(self) -> None:
        ahead = self._now_ahead()
        passed, self._ahead = timedelta(seconds=ahead - self._ahead), ahead
        now = datetime.now(UTC)
        try:
            with self._store.write() as tx:
                tx.execute(update(Digest).where(_OF_ACME, Digest.next_fire_at <= now + passed).values(next_fire_at=now))
        except (DatabaseAway, Contended) as error:
            log.warning("the digests of the demo do not follow the clock", reason=str(error))
