"""Finds the cards of incidents by the channel and timestamp of their Slack messages."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import MayNotAct, NotFound, Refusal
from storage.engine import Store
from storage.queries import pressed_posts, threads
from storage.queries.pressed_posts import PressedPost
from storage.rows import IncidentHead, PostedCard

# Somebody may react to a card before the bot has stored the timestamp from Slack's response.
_WAIT_S = 1.0
_LOOK_EVERY_S = 0.02


class CardNotPostedYet(Exception):
    """The message may be a card whose timestamp is not stored yet. A later attempt can find it."""


@dataclass(frozen=True, slots=True)
class Reactions:
    """The names of the emoji that acknowledge or resolve an incident when somebody adds them to its card."""

    acknowledge: str
    resolve: str


def find_reactions(connection: Connection, workspace_id: str) -> Reactions | None:
    """The reactions that a workspace's organization uses; None if the workspace belongs to no organization."""
    found = threads.find_reactions(connection, workspace_id)
    return None if found is None else Reactions(*found)


def find_card(store: Store, workspace_id: str, channel_id: str, ts: str) -> PostedCard | None:
    """The card with the message timestamp `ts` in a channel; None if that message is not a card.

    Waits up to a second for a card that is being posted, then raises CardNotPostedYet. Raises DatabaseAway.
    """
    deadline = time.monotonic() + _WAIT_S
    while True:
        with store.read() as connection:
            # The order matters: a card that is stored between the two reads is still found.
            being_posted = threads.has_card_not_posted_yet(connection, workspace_id, channel_id, ts)
            found = threads.find_card(connection, workspace_id, channel_id, ts)
        if found is not None or not being_posted:
            return found
        if time.monotonic() > deadline:
            raise CardNotPostedYet
        time.sleep(_LOOK_EVERY_S)


def find_pressed_post(
    tx: Connection, access: Access, incident: IncidentHead, channel_id: str, ts: str, now: datetime, burst_s: float
) -> PressedPost | None:
    """The message about an incident whose button was pressed, if delivery posted it; see `bot.handlers.redraw`."""
    return pressed_posts.find_pressed_post(
        tx, incident.id, access.workspace_id, channel_id, ts, now=now, burst_s=burst_s
    )


def explain_not_found(store: Store, workspace_id: str, channel_id: str, ts: str, error: NotFound) -> Refusal:
    """What to answer somebody who used a message about an incident that they may not see.

    On the incident's card, in a channel that shows it, they are told that they may not act. Anywhere else it is
    `error`, which does not reveal whether the incident exists.
    """
    with store.read() as connection:
        shown = pressed_posts.find_shown_card(connection, error.identifier, workspace_id, channel_id, ts)
    return MayNotAct(error.identifier, shown.title) if shown else error


def record_deletion(tx: Connection, workspace_id: str, channel_id: str, ts: str) -> None:
    """Records that somebody deleted a card. The next change of its incident posts a new one."""
    threads.record_card_deleted(tx, workspace_id, channel_id, ts)
