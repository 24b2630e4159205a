"""Publishes the recorded fires of digests: a replica leases fires, renders their messages and queues these.

A fire is one time at which a digest was due. It ends in the transaction that enqueues its message, so it is published
once, however many attempts were made. A digest whose picture fails is published without it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from bot import tracing
from bot.digests import content, picture
from bot.digests.content import AccessLost, IncidentsSwitchedOff
from bot.digests.grace import is_too_late
from bot.digests.metrics import DigestMetrics
from bot.digests.pausing import pause_digest
from bot.digests.sending import build_post_key
from bot.digests.shared_results import SharedResults
from bot.digests.summary import summarize
from bot.incidents.errors import Refusal
from bot.messages import digest as messages
from bot.messages.blocks import Message
from bot.messages.digest import Picture
from bot.people import channels
from bot.people.identity import VALID_FOR, Identity
from bot.slack.clients import Clients
from bot.slack.files import PictureFailed, upload_picture
from bot.slack.thread_pool import ThreadPool
from storage.digest_rows import DailyCounts, DigestRow, Fire
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import digest_fires, home_workspaces, outbox
from storage.queries import digests as queries
from storage.queries.digest_fires import PreparedFire
from storage.queries.digests import Owner
from storage.values import PostKind

log = structlog.get_logger(__name__)

# Fires without pictures that are published together.
BATCH = 50
TRIES = 5  # to write what is ready
# Lease of a fire: when its replica has died, another one can take it after this. Rendering and uploading must take
# less.
LEASE_S = 60.0
# The delay before another attempt when Slack could not be reached.
RETRY_S = 5.0
# Slack limits the rate of uploads. A digest that is delayed by more than this is sent without its picture.
PICTURE_MAX_DELAY = timedelta(seconds=60)
_POLL_S = 0.2
RENDER_TIMEOUT_S = 20.0  # the first rendering on a machine also builds the list of fonts

# Why a digest was missed, in the digest after it.
NOT_PREPARED = "Tocsin could not prepare it in time."
SLACK_AWAY = "Slack could not be reached."


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A fire whose message is rendered."""

    fire: Fire
    digest: DigestRow
    message: Message
    picture: Picture | None
    open_count: int


class Publisher:
    """Publishes fires in batches. Several threads may share it."""

    def __init__(
        self,
        store: Store,
        clients: Clients,
        identity: Identity,
        *,
        renderer: ThreadPool,
        command: str,
        stopping: threading.Event,
        metrics: DigestMetrics,
        lease_s: float = LEASE_S,
    ) -> None:
        """`renderer` must have one thread, because matplotlib is not thread-safe. `lease_s` is in seconds."""
        self._store = store
        self._clients = clients
        self._identity = identity
        self._renderer = renderer
        self._command = command
        self._stopping = stopping
        self._metrics = metrics
        self._lease_s = lease_s
        self._shared = SharedResults()
        self._batching = threading.Lock()

    def publish_some(self, found: Callable[[], object] = lambda: None) -> bool:
        """Publishes some of the fires that are due. Returns False if there is none. Raises DatabaseAway, Contended.

        Those with pictures are published one by one, because Slack takes seconds to process a picture. `found` is
        called before what was found is published: there may be others.
        """
        workspaces = [one.workspace_id for one in self._clients.all()]  # without a client, no picture can be uploaded
        now = self._store.clock.now()
        # Batches of several threads would wait for each other's channels.
        if self._batching.acquire(blocking=False):
            try:
                if leased := self._lease(workspaces, now, pictures=False, most=BATCH):
                    found()
                    self._publish_leased(leased, now)
                    return True
            finally:
                self._batching.release()
        if leased := self._lease(workspaces, now, pictures=True, most=1):
            found()
            self._publish_leased(leased, now)
        return bool(leased)

    def _lease(
        self, workspaces: Sequence[str], now: datetime, *, pictures: bool, most: int
    ) -> list[tuple[Fire, DigestRow]]:
        with self._store.read() as connection:
            return digest_fires.lease_fires(connection, workspaces, now, self._lease_s, pictures=pictures, most=most)

    def _publish_leased(self, leased: Sequence[tuple[Fire, DigestRow]], now: datetime) -> None:
        with tracing.span("digest publish", fires=len(leased)):
            leased = self._find_workspaces(leased)
            owners = self._get_owners(leased, now)
            prepared: list[_Prepared | None] = []
            for fire, digest in leased:
                try:
                    prepared.append(self._prepare(fire, digest, owners, now))
                except (DatabaseAway, Contended):
                    raise
                except Exception:
                    # It stays leased until its lease ends; then any replica tries it again. The others go on.
                    log.exception("a digest could not be prepared", digest=digest.id)
            if ready := [one for one in prepared if one is not None]:
                self._enqueue(ready, now)

    def _find_workspaces(self, leased: Sequence[tuple[Fire, DigestRow]]) -> list[tuple[Fire, DigestRow]]:
        """The fires, each with its digest in the workspace of its channel.

        A digest of the organization file is in the first workspace until its channel is looked for. Its picture has to
        be uploaded where the channel is.
        """
        with self._store.read() as connection:
            homes = home_workspaces.list_homes_of_digests(
                connection, {one.organization_id for _, one in leased}, {one.id for _, one in leased}
            )
        found = []
        for fire, digest in leased:
            home = homes.get(digest.id)
            workspace_id = home and (
                home.known or channels.find_workspace(self._clients, digest.channel_id, home.workspaces)
            )
            if workspace_id and workspace_id != digest.workspace_id:
                with self._store.read() as connection:
                    home_workspaces.move_digest(connection, digest.organization_id, digest.id, workspace_id)
                digest = replace(digest, workspace_id=workspace_id, owner_user_id=None)
            found.append((fire, digest))
        return found

    def _get_owners(self, leased: Sequence[tuple[Fire, DigestRow]], now: datetime) -> dict[int, Owner | Refusal]:
        """The owners of digests by the id of the digest; or why Slack did not say whether they are still members.

        Slack is asked about an owner again if the last answer is old, because they may have left.
        """
        with self._store.read() as connection:
            owners: dict[int, Owner | Refusal] = {**queries.find_owners(connection, [one for _, one in leased])}
        again: list[DigestRow] = []
        for _, digest in leased:
            owner = owners.get(digest.id)
            if not isinstance(owner, Owner) or digest.owner_user_id is None or owner.date_checked is None:
                continue
            if now - owner.date_checked > VALID_FOR:
                try:
                    self._identity.refresh(digest.workspace_id, digest.owner_user_id, now)
                    again.append(digest)
                except Refusal as refusal:
                    owners[digest.id] = refusal
        if again:
            with self._store.read() as connection:
                owners |= queries.find_owners(connection, again)
        return owners

    def _prepare(
        self, fire: Fire, digest: DigestRow, owners: Mapping[int, Owner | Refusal], now: datetime
    ) -> _Prepared | None:
        """Renders a fire's message; None if the fire ends without one, or waits."""
        if digest.date_paused and not fire.by_hand:
            self._finish(fire, "stopped")
            return None
        if is_too_late(digest, fire, now):
            log.warning("a digest was missed because it was too late", digest=digest.id, due=fire.fire_at.isoformat())
            self._finish(fire, "missed", NOT_PREPARED)
            return None
        owner = owners.get(digest.id)
        if isinstance(owner, Refusal):
            log.warning("a digest waits", digest=digest.id, reason=owner.sentence)
            with self._store.read() as connection:
                digest_fires.release_fire(connection, fire, self._store.clock.now(), RETRY_S, SLACK_AWAY)
            return None
        try:
            access = content.build_owner_access(owner, digest)
            with self._store.read() as connection:
                scope = content.resolve_digest_scope(connection, access, digest, now)
                shared = self._shared.choose(fire)
                loaded = content.load_content(
                    connection, scope, digest, since=fire.since, as_of=now, missed=fire.missed, shared=shared
                )
                shows_picture = digest.picture and bool(loaded.counts.total)
                counts = (
                    content.load_daily_counts(connection, scope, digest.zone, now, shared) if shows_picture else None
                )
        except IncidentsSwitchedOff:
            self._finish(fire, "silent")
            return None
        except AccessLost as lost:
            self._stop_and_pause(fire, digest, lost, now)
            return None
        if not loaded.counts.total and digest.skip_empty:
            self._finish(fire, "silent")
            return None
        shown = self._picture(fire, digest, counts, now) if counts else None
        message = messages.render_digest(loaded, summarize(digest), fire_id=fire.id, picture=shown)
        return _Prepared(fire, digest, message, shown, loaded.counts.total)

    def _enqueue(self, prepared: Sequence[_Prepared], now: datetime) -> None:
        # Delivery and other replicas may hold some of the channels for longer than a statement waits.
        for attempt in Retrying(retry=retry_if_exception_type(Contended), stop=stop_after_attempt(TRIES), reraise=True):
            with attempt:
                self._write(prepared, now)
        for one in prepared:
            self._metrics.late_seconds.observe((now - one.fire.fire_at).total_seconds())
            log.info(
                "a digest was published", digest=one.digest.id, due=one.fire.fire_at.isoformat(), open=one.open_count
            )

    def _write(self, prepared: Sequence[_Prepared], now: datetime) -> None:
        with self._store.write() as tx:
            ended = digest_fires.finish_posted(
                tx,
                [
                    PreparedFire(one.fire, one.picture.file_id, one.picture.alt)
                    if one.picture
                    else PreparedFire(one.fire)
                    for one in prepared
                ],
            )
            keys = {build_post_key(one.fire.id): one for one in prepared if one.fire.id in ended}
            posts = outbox.enqueue_in_channels(
                tx,
                PostKind.DIGEST,
                [(one.digest.workspace_id, one.digest.channel_id, key, one.message) for key, one in keys.items()],
                now,
            )
            digest_fires.link_posts(tx, [(keys[key].fire, post_id) for key, post_id in posts.items()])

    def _finish(self, fire: Fire, state: str, reason: str | None = None) -> None:
        with self._store.read() as connection:
            if digest_fires.finish_fire(connection, fire, state, reason):
                self._metrics.finished.labels(state).inc()

    def _picture(self, fire: Fire, digest: DigestRow, counts: DailyCounts, now: datetime) -> Picture | None:
        """Renders and uploads the picture. Returns None if that fails; the digest is then sent without it."""
        installation = self._clients.find(digest.workspace_id)
        if installation is None or now - fire.fire_at > PICTURE_MAX_DELAY:
            return None
        alt = messages.render_alt_text(counts)
        try:
            with tracing.span("digest picture"):
                png = self._render_picture(counts)
            file_id = upload_picture(
                installation.client,
                png,
                name="incidents.png",
                title="Incidents by day",
                alt=alt,
                stopping=self._stopping,
            )
        except (PictureFailed, picture.CannotRender) as problem:
            log.warning("a digest is sent without its picture", digest=digest.id, reason=str(problem))
            return None
        except Exception:
            log.exception("a digest is sent without its picture", digest=digest.id)
            return None
        return Picture(file_id, alt)

    def _render_picture(self, counts: DailyCounts) -> bytes:
        """Renders the picture as PNG. Raises PictureFailed if that takes too long or the bot is stopping."""
        drawing = self._renderer.submit(picture.render_picture, counts)
        for _ in range(int(RENDER_TIMEOUT_S / _POLL_S)):
            if self._stopping.is_set():
                raise PictureFailed("the bot is stopping")
            try:
                return drawing.result(_POLL_S)
            except TimeoutError:
                continue
        drawing.cancel()
        raise PictureFailed(f"it was not drawn within {RENDER_TIMEOUT_S:g} s")

    def _stop_and_pause(self, fire: Fire, digest: DigestRow, lost: AccessLost, now: datetime) -> None:
        with self._store.write() as tx:
            if digest_fires.finish_fire(tx, fire, "stopped", lost.reason):
                self._metrics.finished.labels("stopped").inc()
                pause_digest(
                    tx,
                    digest.organization_id,
                    digest.id,
                    lost.reason,
                    now,
                    command=self._command,
                    owner_left=lost.owner_left,
                )
