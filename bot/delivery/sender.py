"""One leased destination at a time: what is due there is brought to Slack, and what came of it is written down.

Nothing is sent inside a transaction. Before a message is posted it is noted that this begins; unless it is settled
afterwards its outcome counts as unknown, and the conversation is searched for it, by the id in its metadata,
before it is posted again. Bringing a message that stands to another content may be done twice; that needs no
search.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Connection

from bot.delivery import calls, counts
from bot.delivery.calls import Limited, Line, Refused, Result, Taken, Unknown, Unreached
from bot.delivery.drawing import SHARED, Drop, Remove, Show, Wait, draw
from bot.delivery.pace import Pace
from bot.messages.card import as_plain_text
from bot.messages.notification import invitation
from bot.people.identity import Identity, SlackAway
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import access as people
from storage.queries import outbox, posts
from storage.queries.posts import Lease, Target, Waiting

log = structlog.get_logger(__name__)

METADATA_EVENT = "tocsin_post"
_ONE_TIME = frozenset({"notification", "digest", "note"})
# Of a refusal that concerns one conversation, what an invitation of the bot would mend.
_INVITE_WOULD_HELP = frozenset({"channel_not_found", "not_in_channel"})
_NOT_A_MEMBER_HERE = "no_such_person"
_HISTORY_PAGE = 100  # messages; some apps get fifteen at a time, whatever they ask for
_PAGES_AT_ONCE = 3
_DATABASE_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done outside of a transaction, and for whom."""

    target: Target
    post: Waiting
    show: Show | Remove | None = None  # None: what must be known first is found out
    resend: bool = False  # the outcome of its posting is to be looked for


class Sender:
    """Serves leased destinations; used by several threads."""

    def __init__(
        self,
        store: Store,
        lines: Mapping[str, Line],
        identity: Identity,
        pace: Pace,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._lines = lines
        self._identity = identity
        self._pace = pace
        self._clock = clock

    def serve(self, held: Lease) -> None:
        """Does the next thing that is due at a destination, and gives it back. Raises DatabaseAway, Contended.

        What meets with an error that nobody expected is put off, so that nothing waits behind it.
        """
        try:
            self._serve(held)
        except (DatabaseAway, Contended):
            raise
        except Exception:
            log.exception("a message could not be sent", destination=held.destination_id)
            self._put_off(held)

    def _put_off(self, held: Lease) -> None:
        with self._store.write() as tx:
            target = posts.hold(tx, held)
            if target is None:
                return
            post = posts.next_post(tx, target.id)
            if post is not None:
                posts.post_later(tx, post, self._pace.defect_s)
            posts.release(tx, target, failures=target.failures)

    def _serve(self, held: Lease) -> None:
        task = self._prepare(held)
        if task is None:
            return
        if task.target.channel_id is None and not self._person_is_known(task.target):
            if not self._find_person(held, task):
                return
            task = self._prepare(held, asked=True)
        elif task.target.channel_id is not None and not self._channel_is_known(task.target):
            if not self._learn_channel(held, task):
                return
            task = self._prepare(held, asked=True)
        if task is None:
            return
        if task.resend:
            self._look_for(held, task)
        elif task.show is not None:
            self._send(held, task, task.show)
        else:
            self._give_back(held)

    # --- before --------------------------------------------------------------------------------------------

    def _prepare(self, held: Lease, *, asked: bool = False) -> Task | None:
        """Chooses and draws what is to be sent, and notes that it begins; None when there is nothing to send.

        `asked`: Slack has just been asked about the destination, whatever the clock says of when that was.
        """
        with self._store.write() as tx:
            target = posts.hold(tx, held)
            if target is None:
                return None
            while True:
                post = posts.next_post(tx, target.id)
                if post is None:
                    posts.release(tx, target, failures=target.failures)
                    return None
                if not self._is_known(target, asked=asked):
                    return Task(target, post)
                if post.begun_at is not None:
                    left = post.begun_at + self._pace.settles_s - self._now(target)
                    if left > 0:
                        # It is due by the database's clock alone: Slack may still be taking it.
                        posts.post_later(tx, post, left)
                        continue
                    return Task(target, post, resend=True)
                if target.channel_id is not None and target.is_shared and not target.shared_allowed:
                    posts.fail(tx, target, SHARED, self._pace.post_s, ask_again=False)
                    return None
                task = self._drawn(tx, target, post)
                if task is not None:
                    return task

    def _drawn(self, tx: Connection, target: Target, post: Waiting) -> Task | None:
        """The task for a post; None when it is settled already, or has to wait."""
        drawn = draw(tx, post, target, self._lines[target.workspace_id].url)
        if isinstance(drawn, Wait):
            posts.post_later(tx, post, drawn.seconds)
            return None
        if isinstance(drawn, Drop):
            posts.settled(
                tx, post, ts=post.ts, drawn_hash=post.drawn_hash, done=post.kind in _ONE_TIME and post.ts is None
            )
            return None
        if post.ts is None:
            posts.begin(tx, post, target, self._now(target), self._pace.settles_s)
            return Task(target, post, drawn)
        if isinstance(drawn, Show) and drawn.fingerprint == post.drawn_hash:
            posts.settled(tx, post, ts=post.ts, drawn_hash=post.drawn_hash)
            return None
        if not post.has_slot:
            wait = posts.take_slot(tx, target.workspace_id, "chat.update", self._pace.update_s, self._pace.update_burst)
            if wait > 0:
                posts.slot_given(tx, post, wait)
                return None
        return Task(target, post, drawn)

    def _now(self, target: Target) -> float:
        """What time it is in Slack, in seconds since the epoch."""
        return self._lines[target.workspace_id].installation.clock.now()

    def _give_back(self, held: Lease) -> None:
        with self._store.write() as tx:
            target = posts.hold(tx, held)
            if target is not None:
                posts.release(tx, target, failures=target.failures)

    # --- sending -------------------------------------------------------------------------------------------

    def _send(self, held: Lease, task: Task, show: Show | Remove) -> None:
        target, post = task.target, task.post
        line = self._lines[target.workspace_id]
        if post.ts is None:
            assert isinstance(show, Show)
            result = self._posted(line, target, post, show)
        elif isinstance(show, Remove):
            result = calls.write(line, "chat.delete", channel=self._conversation(target), ts=post.ts)
        else:
            result = self._plain_if_refused(
                post,
                dict(show.message),
                lambda message: calls.write(
                    line, "chat.update", channel=self._conversation(target), ts=post.ts, **message
                ),
            )
        self._write_down(held, task, show, result)

    def _posted(self, line: Line, target: Target, post: Waiting, show: Show) -> Result:
        metadata = {"event_type": METADATA_EVENT, "event_payload": {"id": metadata_id(post)}}
        more = {"thread_ts": show.thread_ts} if show.thread_ts else {}

        def send(message: Mapping[str, Any]) -> Result:
            return calls.write(
                line,
                "chat.postMessage",
                channel=target.channel_id or target.conversation_id or target.user_id,
                metadata=metadata,
                unfurl_links=False,
                unfurl_media=False,
                **more,
                **message,
            )

        result = self._plain_if_refused(post, dict(show.message), send)
        if isinstance(result, Refused) and result.error == "not_in_channel":
            joined = calls.read(line, "conversations.join", channel=target.channel_id)
            if isinstance(joined, Taken):
                result = self._plain_if_refused(post, dict(show.message), send)
        return result

    @staticmethod
    def _plain_if_refused(
        post: Waiting, message: dict[str, Any], send: Callable[[Mapping[str, Any]], Result]
    ) -> Result:
        result = send(message)
        if isinstance(result, Refused) and result.error in calls.CONTENT_ERRORS:
            counts.DEFECTS.inc()
            log.error("Slack refused the blocks of a message; it goes as plain text", post=post.id, kind=post.kind,
                      error=result.error)  # fmt: skip
            result = send(as_plain_text(message))
        return result

    @staticmethod
    def _conversation(target: Target) -> str | None:
        return target.channel_id or target.conversation_id

    # --- afterwards ----------------------------------------------------------------------------------------

    def _write_down(self, held: Lease, task: Task, show: Show | Remove | None, result: Result) -> None:
        """Keeps what came of it; a database that is away for a moment is waited for, as nobody else knows it."""
        deadline = time.monotonic() + self._pace.lease_s / 2
        while True:
            try:
                with self._store.write() as tx:
                    target = posts.hold(tx, held)
                    if target is not None:
                        self._settle(tx, target, task.post, show, result)
                    elif isinstance(result, Taken) and task.post.ts is None:
                        posts.settled_late(tx, task.post, str(result.answer["ts"]))
                return
            except (DatabaseAway, Contended):
                if time.monotonic() > deadline:
                    raise
                time.sleep(_DATABASE_WAIT_S)

    def _settle(
        self, tx: Connection, target: Target, post: Waiting, show: Show | Remove | None, result: Result
    ) -> None:
        posting = post.ts is None
        match result:
            case Taken(answer=answer):
                self._arrived(tx, target, post, show, answer)
            case Limited(seconds=seconds):
                counts.RETRIED.labels("rate").inc()
                log.warning("Slack asks for patience", seconds=seconds, destination=target.id)
                if posting:
                    posts.unsent(tx, post)
                    posts.release(tx, target, pause_s=seconds, failures=target.failures)
                else:  # the limit is the workspace's
                    posts.block_method(tx, target.workspace_id, "chat.update", seconds)
                    posts.post_later(tx, post, seconds)
                    posts.release(tx, target, failures=target.failures)
            case Unreached(reason=reason):
                log.warning("Slack could not be reached", reason=reason)
                if posting:
                    posts.unsent(tx, post)
                self._again(tx, target, "unreached")
            case Unknown(reason=reason):
                log.warning("it is not known whether Slack took a message", reason=reason, post=post.id)
                if posting:  # it stays begun, and is looked for when its time has come
                    counts.RETRIED.labels("unknown").inc()
                    posts.release(tx, target, pause_s=self._pace.post_s, failures=target.failures)
                else:
                    self._again(tx, target, "unknown")
            case Refused(error=error):
                self._refused(tx, target, post, error)

    def _arrived(
        self, tx: Connection, target: Target, post: Waiting, show: Show | Remove | None, answer: Mapping[str, Any]
    ) -> None:
        posting = post.ts is None
        ts = None if isinstance(show, Remove) else str(answer.get("ts") or post.ts)
        posts.settled(
            tx,
            post,
            ts=ts,
            # One that was found in a conversation may show how things were when its posting began.
            version=post.wanted_version if show is not None or post.kind in _ONE_TIME else post.wanted_version - 1,
            drawn_hash=show.fingerprint if isinstance(show, Show) else None,
            done=post.kind in _ONE_TIME,
        )
        posts.release(
            tx,
            target,
            pause_s=self._pace.post_s if posting else 0.0,
            sent_ts=ts if posting else None,
            conversation_id=str(answer["channel"]) if posting and answer.get("channel") else None,
        )
        counts.SENT.labels(post.kind, "posted" if posting else "updated").inc()
        if posting:
            counts.WAITED.labels(post.kind).observe(max(0.0, post.waited_s))

    def _refused(self, tx: Connection, target: Target, post: Waiting, error: str) -> None:
        if error in calls.TOKEN_ERRORS:
            posts.unsent(tx, post)
            posts.release(tx, target, failures=target.failures)
            if posts.pause(tx, target.workspace_id, error, self._pace.paused_s):
                counts.PAUSES.inc()
                log.error(
                    "Slack refuses the bot's token; nothing is lost, and sending goes on once the token is good",
                    workspace=target.workspace_id,
                    reason=error,
                )
        elif error in calls.GONE_ERRORS:
            self._gone(tx, target, post)
        elif error in calls.CONTENT_ERRORS:
            # Even as plain text: there is no form in which it could be sent.
            counts.FAILED.labels(error).inc()
            posts.settled(tx, post, ts=post.ts, failed_reason=error, done=post.kind in _ONE_TIME)
            posts.release(tx, target, failures=target.failures)
        else:
            self._fail(tx, target, error)

    def _gone(self, tx: Connection, target: Target, post: Waiting) -> None:
        """The message, or the card in whose thread it stands, was deleted."""
        if post.kind == "card":
            posts.post_anew(tx, post)
        else:
            posts.settled(tx, post, ts=None, failed_reason="message_not_found", done=post.kind in _ONE_TIME)
        posts.release(tx, target, failures=target.failures)

    def _fail(self, tx: Connection, target: Target, reason: str) -> None:
        first = target.failed_reason is None
        pause_s = min(self._pace.longest_failed_s, self._pace.failed_s * 2 ** min(target.failures, 20))
        ended = posts.fail(tx, target, reason, pause_s)
        counts.FAILED.labels(reason).inc(ended)
        log.warning("messages cannot arrive", destination=target.id, channel=target.channel_id, reason=reason)
        if first and target.channel_id is not None and reason in _INVITE_WOULD_HELP:
            for member_id in people.members_who_manage(tx, target.organization_id):
                outbox.enqueue(
                    tx,
                    workspace_id=target.workspace_id,
                    member_id=member_id,
                    kind="note",
                    key=f"invite:{target.id}:{member_id}:{self._clock():%Y-%m-%d}",
                    message=dict(invitation(target.channel_id)),
                )

    def _again(self, tx: Connection, target: Target, why: str) -> None:
        counts.RETRIED.labels(why).inc()
        longest = min(self._pace.longest_retry_s, self._pace.first_retry_s * 2 ** min(target.failures, 20))
        # Jitter: what failed together is not tried again together.
        posts.release(tx, target, pause_s=longest * random.uniform(0.5, 1.0), failures=target.failures + 1)

    # --- what came of it -----------------------------------------------------------------------------------

    def _look_for(self, held: Lease, task: Task) -> None:
        """Searches a conversation for a message that may have been posted; it is posted again if it was not."""
        target, post = task.target, task.post
        line = self._lines[target.workspace_id]
        conversation = self._conversation(target)
        if conversation is None:
            opened = calls.read(line, "conversations.open", users=target.user_id)
            if not isinstance(opened, Taken):
                self._write_down_search(held, task, opened)
                return
            conversation = str(opened.answer["channel"]["id"])
        to_ts = post.searched_to
        for _ in range(_PAGES_AT_ONCE):
            result = self._page(line, task, conversation, to_ts)
            if not isinstance(result, Taken):
                break
            messages = result.answer.get("messages") or []
            found = next((one for one in messages if _is(one, post, line)), None)
            if found is not None:
                counts.UNKNOWN.labels("yes").inc()
                self._write_down(held, task, None, Taken({"ts": found["ts"], "channel": conversation}))
                return
            if not result.answer.get("has_more") or not messages:
                counts.UNKNOWN.labels("no").inc()
                with self._store.write() as tx:
                    if posts.hold(tx, held) is not None:
                        posts.unsent(tx, post)
                        posts.release(tx, target, failures=target.failures)
                return
            to_ts = str(messages[-1]["ts"])
            with self._store.write() as tx:
                if posts.hold(tx, held) is None:
                    return
                posts.searched(tx, post, to_ts)
        else:
            result = Limited(0.0)
        self._write_down_search(held, task, result)

    def _page(self, line: Line, task: Task, conversation: str, to_ts: str | None) -> Result:
        """A page of what was said since the posting began, newest first (in a thread: oldest first)."""
        bounds: dict[str, Any] = {"include_all_metadata": True, "limit": _HISTORY_PAGE}
        if task.post.card_id is not None:
            card_ts = self._card_ts(task.post.card_id)
            if card_ts is None:
                return Taken({"messages": []})
            if to_ts or task.post.after_ts:
                bounds["oldest"] = to_ts or task.post.after_ts
            return calls.read(line, "conversations.replies", channel=conversation, ts=card_ts, **bounds)
        if task.post.after_ts:
            bounds["oldest"] = task.post.after_ts
        if to_ts:
            bounds["latest"] = to_ts
        return calls.read(line, "conversations.history", channel=conversation, **bounds)

    def _card_ts(self, card_id: int) -> str | None:
        with self._store.read() as connection:
            return posts.ts_of(connection, card_id)

    def _write_down_search(self, held: Lease, task: Task, result: Result) -> None:
        """A search that could not be ended: it goes on later, and the message is not sent before."""
        target, post = task.target, task.post
        with self._store.write() as tx:
            if posts.hold(tx, held) is None:
                return
            match result:
                case Limited(seconds=seconds):
                    posts.post_later(tx, post, seconds)
                    posts.release(tx, target, failures=target.failures)
                case Refused(error=error) if error in calls.TOKEN_ERRORS:
                    posts.post_later(tx, post, self._pace.paused_s)
                    posts.release(tx, target, failures=target.failures)
                    posts.pause(tx, target.workspace_id, error, self._pace.paused_s)
                case Refused(error="thread_not_found"):
                    self._gone(tx, target, post)
                case Refused(error=error):
                    self._fail(tx, target, error)
                case _:
                    self._again(tx, target, "search")

    # --- people and channels -------------------------------------------------------------------------------

    def _is_known(self, target: Target, *, asked: bool) -> bool:
        if target.channel_id is not None:
            return asked or self._channel_is_known(target)
        return (asked and target.user_id is not None) or self._person_is_known(target)

    def _person_is_known(self, target: Target) -> bool:
        if target.member_id is None:
            return True
        if target.user_id is None:
            return False
        # A person named by the organization file is who they are; of others Slack is asked now and then.
        fresh = target.checked_s_ago is not None and target.checked_s_ago < self._pace.known_person_s
        return target.by_file or fresh

    def _find_person(self, held: Lease, task: Task) -> bool:
        """Finds out what Slack calls a member; False when that cannot be told, which is then written down."""
        target = task.target
        try:
            user_id = self._identity.find(target.workspace_id, target.member_id or 0, target.user_id, self._clock())
        except SlackAway:
            with self._store.write() as tx:
                if posts.hold(tx, held) is not None:
                    self._again(tx, target, "person")
            return False
        if user_id is None:
            with self._store.write() as tx:
                if posts.hold(tx, held) is not None:
                    self._fail(tx, target, _NOT_A_MEMBER_HERE)
            return False
        return True

    def _channel_is_known(self, target: Target) -> bool:
        age = target.checked_s_ago
        return age is not None and age < self._pace.known_channel_s and target.is_member is not None

    def _learn_channel(self, held: Lease, task: Task) -> bool:
        """Asks Slack about a channel, and joins it if it can; False when nothing can be sent there now."""
        target = task.target
        line = self._lines[target.workspace_id]
        result = calls.read(line, "conversations.info", channel=target.channel_id)
        if not isinstance(result, Taken):
            self._cannot_learn(held, result)
            return False
        channel = result.answer["channel"]
        is_private, is_shared = bool(channel.get("is_private")), _is_shared(channel)
        is_member = bool(channel.get("is_member"))
        if channel.get("is_archived"):
            self._cannot_learn(held, Refused("is_archived"))
            return False
        if not is_member and not is_private and (not is_shared or target.shared_allowed):
            # Posting alone does not let the bot hear what is said there.
            is_member = isinstance(calls.read(line, "conversations.join", channel=target.channel_id), Taken)
        with self._store.write() as tx:
            if posts.hold(tx, held) is None:
                return False
            posts.channel_learnt(
                tx,
                target,
                name=str(channel.get("name") or ""),
                is_private=is_private,
                is_shared=is_shared,
                is_member=is_member,
            )
        return True

    def _cannot_learn(self, held: Lease, result: Result) -> None:
        with self._store.write() as tx:
            target = posts.hold(tx, held)
            if target is None:
                return
            match result:
                case Limited(seconds=seconds):
                    posts.release(tx, target, pause_s=seconds, failures=target.failures)
                case Refused(error=error) if error in calls.TOKEN_ERRORS:
                    posts.release(tx, target, failures=target.failures)
                    posts.pause(tx, target.workspace_id, error, self._pace.paused_s)
                case Refused(error=error):
                    self._fail(tx, target, error)
                case _:
                    self._again(tx, target, "channel")


def _is_shared(channel: Mapping[str, Any]) -> bool:
    """Whether another company reads along, or is invited to."""
    return bool(channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"))


def metadata_id(post: Waiting) -> str:
    """The id under which a message can be found in Slack: another one for each time that it is posted anew."""
    return f"{post.id}.{post.generation}"


def _is(message: Mapping[str, Any], post: Waiting, line: Line) -> bool:
    metadata = message.get("metadata") or {}
    ours = message.get("bot_id") == line.installation.bot_id or message.get("user") == line.installation.bot_user_id
    return (
        ours
        and metadata.get("event_type") == METADATA_EVENT
        and (metadata.get("event_payload") or {}).get("id") == metadata_id(post)
    )
