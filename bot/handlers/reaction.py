"""Reactions to a card: one acknowledges, one resolves, with the permissions of the person who reacts."""

from __future__ import annotations

from datetime import datetime

from bot.handlers.context import Services
from bot.handlers.verb import Feature
from bot.incidents import cards, lifecycle
from bot.incidents.errors import AlreadyClosed, NotFound, Refusal
from bot.incidents.idempotency import record_request
from bot.messages import notice_texts
from bot.people import notices
from bot.people.identity import SlackAway
from bot.people.joining import explain_refusal
from bot.slack.requests import Event
from bot.slack.responses import Done, Response, RetryLater
from storage.errors import AlreadyHandled


def handle_added(services: Services, event: Event, now: datetime) -> Response:
    """A `reaction_added` event. Raises DatabaseAway, Contended, CardNotPostedYet."""
    person, item = event.person(), event.event.get("item") or {}
    installation = services.clients.find(event.workspace_id)
    if person is None or installation is None or person.user_id == installation.bot_user_id:
        return Done()
    if item.get("type") != "message":
        return Done()
    # Drops the skin tone: `wave::skin-tone-2`.
    reaction = str(event.event.get("reaction")).partition("::")[0]
    with services.store.read() as connection:
        known = cards.find_reactions(connection, event.workspace_id)
    # Most reactions are none of ours. They must not wait for a card that is being posted.
    if known is None or reaction not in (known.acknowledge, known.resolve):
        return Done()
    channel_id = str(item.get("channel"))
    card = cards.find_card(services.store, event.workspace_id, channel_id, str(item.get("ts")))
    if card is None:
        return Done()
    try:
        with services.store.reading() as reading:
            access = services.identity.access(reading, person, now)
        with services.store.write(access.organization_id) as tx:
            record_request(tx, event.workspace_id, f"event:{event.id}", now)
            if reaction == known.resolve:
                lifecycle.resolve(tx, access, card.identifier, now)
            else:
                lifecycle.acknowledge(tx, access, card.identifier, now)
    except SlackAway:
        return RetryLater()
    except (AlreadyHandled, AlreadyClosed):
        return Done()  # in the second case somebody else was faster, and the card shows it
    except Refusal as refusal:
        if isinstance(refusal, NotFound):
            refusal = cards.explain_not_found(
                services.store, event.workspace_id, channel_id, str(item.get("ts")), refusal
            )
        refusal = explain_refusal(services.store, person, refusal, now)
        note = notice_texts.render_reaction_refused(card.identifier, channel_id, reaction, refusal.sentence)
        with services.store.write() as tx:
            notices.send_notice(tx, person, note, f"reaction:{event.workspace_id}:{event.id}", now)
    return Done()


HANDLES = (Feature(events={"reaction_added": handle_added}),)
