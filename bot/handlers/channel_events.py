"""Events of channels: unarchived, shared or no longer shared, the bot invited or removed."""

from __future__ import annotations

from datetime import datetime

from bot.handlers.context import Services
from bot.handlers.verb import Feature
from bot.people import channels
from bot.slack.requests import Event
from bot.slack.responses import Done, Response


def handle_left(services: Services, event: Event, _now: datetime) -> Response:
    """`channel_left`: the bot was removed. Slack is asked about the channel before the next post there."""
    with services.store.write() as tx:
        channels.record_left(tx, event.workspace_id, read_channel_id(event))
    return Done()


def handle_opened(services: Services, event: Event, now: datetime) -> Response:
    """`channel_unarchive`: what could not be posted there is posted now."""
    with services.store.write() as tx:
        channels.record_open(tx, event.workspace_id, read_channel_id(event), now)
    return Done()


def handle_joined(services: Services, event: Event, now: datetime) -> Response:
    """`member_joined_channel`: where the bot joined, what could not be posted there is posted now."""
    installation = services.clients.find(event.workspace_id)
    if installation is None or event.event.get("user") != installation.bot_user_id:
        return Done()
    return handle_opened(services, event, now)


def handle_shared(services: Services, event: Event, now: datetime) -> Response:
    """`channel_shared`: another company reads the channel. Nothing more is posted unless the organization allows it."""
    with services.store.write() as tx:
        services.channels.record_shared(tx, event.workspace_id, read_channel_id(event), True, now)
    return Done()


def handle_unshared(services: Services, event: Event, now: datetime) -> Response:
    """`channel_unshared`: after the last other company left, what could not be posted there is posted now."""
    still = bool(event.event.get("is_ext_shared"))
    with services.store.write() as tx:
        services.channels.record_shared(tx, event.workspace_id, read_channel_id(event), still, now)
    return Done()


def read_channel_id(event: Event) -> str:
    """The channel's id. In some events `channel` is an object."""
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
