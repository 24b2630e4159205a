"""What happens to people: they leave, become guests, or get another e-mail."""

from __future__ import annotations

from datetime import datetime

from bot.handlers.context import Services
from bot.handlers.verb import Feature
from bot.slack.requests import Event
from bot.slack.responses import Done, Response


def handle_changed(services: Services, event: Event, _now: datetime) -> Response:
    """Slack is asked who somebody is before they are next answered. Raises DatabaseAway, Contended."""
    person = event.person()
    if person is not None:
        with services.store.write() as tx:
            services.identity.forget(tx, person)
    return Done()


HANDLES = (Feature(events={"user_change": handle_changed}),)
