"""Changes of a user's profile: they left, became a guest, or have another e-mail."""

from __future__ import annotations

from datetime import datetime

from bot.handlers.context import Services
from bot.handlers.verb import Feature
from bot.slack.requests import Event
from bot.slack.responses import Done, Response


def handle_changed(services: Services, event: Event, _now: datetime) -> Response:
    """`user_change`: Slack is asked again before their next answer. Raises DatabaseAway, Contended."""
    person = event.person()
    if person is not None:
        with services.store.write() as tx:
            services.identity.forget(tx, person)
    return Done()


HANDLES = (Feature(events={"user_change": handle_changed}),)
