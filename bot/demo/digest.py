"""The digest of the demo. One is due a minute after the start, or when the workspace's clock is moved there."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, exists, select, update

from bot.demo.company import SLUG
from bot.demo.process import BotProcess
from sandbox import Sandbox
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.models import Digest, DigestFire, Organization

log = structlog.get_logger(__name__)

SOON = timedelta(minutes=1)

_OF_ACME = Digest.organization_id == select(Organization.id).where(Organization.slug == SLUG).scalar_subquery()


def has_digest(connection: Connection) -> bool:
    """Whether Acme has a digest."""
    return bool(connection.scalar(select(exists().where(_OF_ACME))))


def was_sent_since(connection: Connection, moment: datetime) -> bool:
    """Whether one of Acme's digests has gone out after `moment`."""
    sent = select(DigestFire.id).join(Digest, Digest.id == DigestFire.digest_id)
    sent = sent.where(_OF_ACME, DigestFire.state == "sent", DigestFire.fire_at > moment)
    return bool(connection.scalar(select(exists(sent))))


def bring_forward(tx: Connection, now: datetime) -> None:
    """Lets the digests come in a minute, instead of at their next time; those that are paused stay so."""
    tx.execute(update(Digest).where(_OF_ACME, Digest.next_fire_at > now + SOON).values(next_fire_at=now + SOON))


class ClockFollower:
    """When the workspace's clock is moved, the bot's goes with it, and what would have been due by then is due then.
    (By itself, a digest that is later than its grace would be skipped.)
    """

    def __init__(self, slack: Sandbox, store: Store, bot: BotProcess) -> None:
        self._slack = slack
        self._store = store
        self._bot = bot
        slack.clock.when_moved(self._moved)
        self._moved()

    def _moved(self) -> None:
        ahead = timedelta(seconds=self._slack.clock.ahead)
        self._store.clock.offset = ahead
        try:
            now = self._store.clock.now()
            with self._store.write() as tx:
                tx.execute(update(Digest).where(_OF_ACME, Digest.next_fire_at <= now).values(next_fire_at=now))
        except (DatabaseAway, Contended) as error:
            log.warning("the digests of the demo do not follow the clock", reason=str(error))
        self._bot.move_clock(ahead.total_seconds())
