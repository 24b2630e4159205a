"""What happens to channels: brought back from the archive; shared or not; the bot invited, or shown out."""

from __future__ import annotations

from datetime import datetime

from bot.handlers.context import Services
from bot.handlers.verb import Feature
from bot.people import channels
from bot.slack.requests import Event
from bot.slack.responses import Done, Response


def handle_left(services: Services, event: Event, _now: datetime) -> Response:
    """The bot is not in a channel any more: Slack is asked about it before it is next posted to."""
    with services.store.write() as tx:
        channels.record_left(tx, event.workspace_id, read_channel_id(event))
    return Done()


def handle_opened(services: Services, event: Event, now: datetime) -> Response:
    """A channel takes messages again: what could not be shown there is."""
    with services.store.write() as tx:
        channels.record_open(tx, event.workspace_id, read_channel_id(event), now)
    return Done()


def handle_joined(services: Services, event: Event, now: datetime) -> Response:
    """Somebody joined a channel; it matters when that is the bot."""
    installation = services.clients.find(event.workspace_id)
    if installation is None or event.event.get("user") != installation.bot_user_id:
        return Done()
    return handle_opened(services, event, now)


def handle_shared(services: Services, event: Event, now: datetime) -> Response:
    """Another company reads a channel from now on: nothing more goes there, unless the organization allows it."""
    with services.store.write() as tx:
        services.channels.record_shared(tx, event.workspace_id, read_channel_id(event), True, now)
    return Done()


def handle_unshared(services: Services, event: Event, now: datetime) -> Response:
    """Another company has left a channel; if it was the last one, what could not be shown there is."""
    still = bool(event.event.get("is_ext_shared"))
    with services.store.write() as tx:
        services.channels.record_shared(tx, event.workspace_id, read_channel_id(event), still, now)
    return Done()


def read_channel_id(event: Event) -> str:
    """The channel's id, which some events bring as an object."""
    channel = event.event.get("channel")
    return str(channel.get("id") if isinstance(channel, dict) else channel)


HANDLES = (
    Feature(
        events={
            "channel_left": handle_left,
            "group_left": handle_left,
            "channel_shared": handle_shared,
            "channel_unshared": handle_unshared,
            "channel_unarchive": handle_opened,
            "group_unarchive": handle_opened,
            "member_joined_channel": handle_joined,
        }
    ),
)
