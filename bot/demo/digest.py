"""The digest of the demo. It is due a minute after the start, or when the workspace's clock is moved there."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, Connection, and_, exists, select, update

from bot.demo.company import SLUG
from bot.demo.process import BotProcess
from sandbox import Sandbox
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.models import Digest, DigestFire, Organization

log = structlog.get_logger(__name__)

SOON = timedelta(minutes=1)
SCHEDULE = "0 * * * *"

_OF_ACME = Digest.organization_id == select(Organization.id).where(Organization.slug == SLUG).scalar_subquery()


def has_digest(connection: Connection) -> bool:
    """Whether Acme has a digest."""
    return bool(connection.scalar(select(exists().where(_OF_ACME))))


def was_sent_since(connection: Connection, moment: datetime) -> bool:
    """Whether one of Acme's digests has gone out after `moment`."""
    sent = select(DigestFire.id).join(Digest, Digest.id == DigestFire.digest_id)
    sent = sent.where(_OF_ACME, DigestFire.state == "sent", DigestFire.fire_at > moment)
    return bool(connection.scalar(select(exists(sent))))


def is_seeded(owner: str, channel: str) -> ColumnElement[bool]:
    """The condition for the digest that the demo makes. One that a visitor has made or changed is theirs."""
    return and_(_OF_ACME, Digest.owner_user_id == owner, Digest.channel_id == channel, Digest.cron == SCHEDULE)


def bring_forward(tx: Connection, seeded: ColumnElement[bool], now: datetime) -> None:
    """Lets the demo's digest come in a minute, instead of at its next time; if it is paused it stays so."""
    tx.execute(update(Digest).where(seeded, Digest.next_fire_at > now + SOON).values(next_fire_at=now + SOON))


def catch_up(tx: Connection, seeded: ColumnElement[bool], now: datetime) -> None:
    """Lets the demo's digest be due now if its time has passed: the guided path promises it when the clock is moved.

    All others are late or missed by the same rules as anywhere.
    """
    tx.execute(update(Digest).where(seeded, Digest.next_fire_at <= now).values(next_fire_at=now))


class ClockFollower:
    """When the workspace's clock is moved, the bot's goes with it."""

    def __init__(self, slack: Sandbox, store: Store, bot: BotProcess, seeded: ColumnElement[bool]) -> None:
        self._slack = slack
        self._store = store
        self._bot = bot
        self._seeded = seeded
        slack.clock.when_moved(self._moved)
        self._moved()

    def _moved(self) -> None:
        ahead = timedelta(seconds=self._slack.clock.ahead)
        self._store.clock.offset = ahead
        try:
            with self._store.write() as tx:
                catch_up(tx, self._seeded, self._store.clock.now())
        except (DatabaseAway, Contended) as error:
            log.warning("the digest of the demo does not follow the clock", reason=str(error))
        self._bot.move_clock(ahead.total_seconds())
