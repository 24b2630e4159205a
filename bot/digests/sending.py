"""Renders the message of a digest once more at the time of sending, or ends its fire without a message.

The post may have waited long for a rate limit, so the digest, its owner's access and its grace period are checked
again. The reason for not posting is recorded with the fire; people are notified the next time that the digest fires.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import Connection

from bot.digests import content
from bot.digests.content import AccessLost, IncidentsSwitchedOff
from bot.digests.grace import is_too_late
from bot.digests.metrics import DigestMetrics
from bot.digests.shared_results import SharedResults
from bot.digests.summary import summarize
from bot.messages import digest as messages
from bot.messages.blocks import Message
from bot.messages.digest import Picture
from storage.digest_rows import Fire
from storage.queries import digest_fires
from storage.queries.destinations import Target
from storage.queries.post_kinds import DigestPost

log = structlog.get_logger(__name__)

# The key of a post consists of this prefix and the id of its fire.
_POST_KEY_PREFIX = "digest:"

# Why a digest was missed, in the digest after it.
NOT_SENT = "Slack did not accept it in time."


def build_post_key(fire_id: int) -> str:
    """The key of the post of a fire."""
    return f"{_POST_KEY_PREFIX}{fire_id}"


class SendingRenderer:
    """Renders digests that delivery is about to send. Several threads may share it."""

    def __init__(self, metrics: DigestMetrics) -> None:
        self._metrics = metrics
        self._shared = SharedResults()

    def render(self, tx: Connection, post: DigestPost, target: Target, now: datetime) -> Message | None:
        """Renders the message of a fire; None if it must no longer be posted."""
        found = digest_fires.find_posted_fire(tx, target.organization_id, int(post.key.removeprefix(_POST_KEY_PREFIX)))
        if found is None:
            return None
        fire, digest = found
        if (digest.date_paused and not fire.by_hand) or digest.channel_id != target.channel_id:
            return self._withdraw(tx, fire, "stopped")
        if is_too_late(digest, fire, now):
            log.warning(
                "a digest was missed because it was too late to send", digest=digest.id, due=fire.fire_at.isoformat()
            )
            return self._withdraw(tx, fire, "missed", NOT_SENT)
        try:
            access = content.get_owner_access(tx, digest)
            scope = content.resolve_digest_scope(tx, access, digest, now)
            shown = content.load_content(
                tx,
                scope,
                digest,
                since=fire.since,
                as_of=now,
                missed=fire.missed,
                shared=self._shared.choose(fire, post.attempts),
            )
        except IncidentsSwitchedOff:
            return self._withdraw(tx, fire, "silent")
        except AccessLost as lost:
            return self._withdraw(tx, fire, "stopped", lost.reason)
        if not shown.counts.total and digest.skip_empty:
            return self._withdraw(tx, fire, "silent")
        picture = Picture(fire.file_id, fire.picture_says or "") if fire.file_id and shown.counts.total else None
        return messages.render_digest(shown, summarize(digest), fire_id=fire.id, picture=picture)

    def _withdraw(self, tx: Connection, fire: Fire, state: str, reason: str | None = None) -> Message | None:
        """Ends a fire whose message must not be sent; gives None, for nothing is to be sent."""
        log.info("a digest is not sent", digest=fire.digest_id, state=state, reason=reason)
        self._metrics.finished.labels(state).inc()
        digest_fires.withdraw_fire(tx, fire, state, reason)
        return None
