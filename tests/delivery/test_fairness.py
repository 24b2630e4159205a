"""In a conversation the urgent goes first, and nothing waits for good behind it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.delivery.pace import Pace
from storage.engine import Store
from storage.queries import outbox, posts
from storage.queries.destinations import ensure_destination
from storage.queries.post_kinds import NotePost
from storage.queries.posts import Delivered
from storage.values import PostKind, Urgency
from tests.stories.conftest import ORGANIZATION, apply_file

PACE = Pace()
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CHANNEL = "C0001"


class Conversation:
    """A channel that takes a message a second, and is given more than that."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START
        self.turn = 0
        self.sent: list[str] = []
        with store.write() as tx:
            self.id = ensure_destination(tx, "T0001", now=START, channel_id=CHANNEL)

    def want(self, key: str, urgency: Urgency) -> None:
        """Asks for a message."""
        with self.store.write() as tx:
            outbox.enqueue(
                tx,
                workspace_id="T0001",
                channel_id=CHANNEL,
                kind=PostKind.NOTE,
                key=key,
                message={"text": key},
                now=self.now,
                urgency=urgency,
            )

    def send(self) -> None:
        """Sends what is next, as `bot.delivery.sender` chooses it."""
        self.turn += 1
        self.now += timedelta(seconds=PACE.post_s)
        fair = [self.id] if self.turn % PACE.overdue_turn == 0 else []
        overdue = self.now - timedelta(seconds=PACE.patience_s)
        with self.store.write() as tx:
            post = posts.find_next_posts(tx, [self.id], self.now, overdue=overdue, fair=fair)[self.id]
            assert isinstance(post, NotePost)
            posts.mark_delivered(tx, [Delivered(post, f"{self.turn}.000000", done=True)], self.now)
        self.sent.append(post.key)


@pytest.fixture
def conversation(store: Store, tmp_path: Path) -> Conversation:
    apply_file(store, tmp_path, ORGANIZATION)
    return Conversation(store)


def test_a_digest_is_not_kept_waiting_by_a_stream_of_comments(conversation: Conversation) -> None:
    for number in range(100):
        conversation.want(f"comment-{number}", Urgency.NEWS)
    conversation.want("digest", Urgency.BULK)
    seconds = int(PACE.patience_s) + PACE.overdue_turn
    for number in range(100, 100 + seconds):
        conversation.want(f"comment-{number}", Urgency.NEWS)
        conversation.send()
    assert "digest" in conversation.sent
    assert conversation.sent.index("digest") >= int(PACE.patience_s) - 1, "before that the more urgent went first"


def test_a_mention_goes_first_whatever_has_waited(conversation: Conversation) -> None:
    for number in range(200):
        conversation.want(f"comment-{number}", Urgency.NEWS)
        conversation.want(f"digest-{number}", Urgency.BULK)
    for _ in range(120):
        conversation.send()
    for number in range(12):
        conversation.want(f"mention-{number}", Urgency.URGENT)
        conversation.send()
        conversation.send()
        assert f"mention-{number}" in conversation.sent[-2:]


def test_cards_and_comments_share_what_there_is(conversation: Conversation) -> None:
    for number in range(300):
        conversation.want(f"card-{number}", Urgency.CHANGE)
    for number in range(10):
        conversation.want(f"comment-{number}", Urgency.NEWS)
    for _ in range(int(PACE.patience_s) + 10 * PACE.overdue_turn):
        conversation.send()
    assert [key for key in conversation.sent if "comment" in key] == [f"comment-{number}" for number in range(10)]
    assert [key for key in conversation.sent if "card" in key] == [f"card-{number}" for number in range(90)]
