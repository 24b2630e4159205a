"""What happens to people: they leave, become guests, or get another e-mail."""

from __future__ import annotations

from datetime import datetime

from bot.handlers.call import Tools
from bot.handlers.verb import Feature
from bot.slack.outcomes import Done, Outcome
from bot.slack.requests import Event
from storage.queries import access


def changed(tools: Tools, event: Event, _now: datetime) -> Outcome:
    """Slack is asked who somebody is before they are next answered. Raises DatabaseAway, Contended."""
    person = event.person()
    if person is not None:
        with tools.store.write() as tx:
            access.people_to_ask_again(tx, person.workspace_id, person.user_id)
    return Done()


HANDLES = (Feature(events={"user_change": changed}),)
