"""Reactions on a card: one acknowledges, one resolves, as if the reactor had pressed the button."""

from __future__ import annotations

from datetime import datetime

from bot.handlers import notices
from bot.handlers.card_lookup import find_card
from bot.handlers.context import Services
from bot.handlers.verb import Feature
from bot.incidents import lifecycle
from bot.incidents.errors import AlreadyClosed, Refusal
from bot.messages import notice_texts
from bot.people.identity import SlackAway
from bot.slack.requests import Event
from bot.slack.responses import Done, Response, RetryLater
from storage.queries import threads
from storage.queries.handled_requests import record_once


def handle_added(services: Services, event: Event, now: datetime) -> Response:
    """A `reaction_added` event. Raises DatabaseAway, Contended, CardOnItsWay."""
    person, item = event.person(), event.event.get("item") or {}
    installation = services.clients.find(event.workspace_id)
    if person is None or installation is None or person.user_id == installation.bot_user_id:
        return Done()
    if item.get("type") != "message":
        return Done()
    # A hand may have a skin tone: `wave::skin-tone-2`.
    reaction = str(event.event.get("reaction")).partition("::")[0]
    with services.store.read() as connection:
        meant = threads.find_reactions(connection, event.workspace_id)
    if meant is None or reaction not in meant:  # most are, and must not wait for a card that is on its way
        return Done()
    _, resolve_with = meant
    channel_id = str(item.get("channel"))
    card = find_card(services.store, event.workspace_id, channel_id, str(item.get("ts")))
    if card is None:
        return Done()
    try:
        with services.store.reading() as reading:
            access = services.identity.access(reading, person, now)
        with services.store.write() as tx:
            if not record_once(tx, event.workspace_id, f"event:{event.id}", now):
                return Done()
            if reaction == resolve_with:
                lifecycle.resolve(tx, access, card.identifier, now)
            else:
                lifecycle.acknowledge(tx, access, card.identifier, now)
    except SlackAway:
        return RetryLater()
    except AlreadyClosed:
        return Done()  # somebody was quicker; the card shows it
    except Refusal as refusal:
        note = notice_texts.render_reaction_refused(card.identifier, channel_id, reaction, refusal.sentence)
        with services.store.write() as tx:
            notices.send_notice(tx, person, note, f"reaction:{event.workspace_id}:{event.id}", now)
    return Done()


HANDLES = (Feature(events={"reaction_added": handle_added}),)
