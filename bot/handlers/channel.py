"""What happens to channels: brought back from the archive; shared or not; the bot invited, or shown out."""

from __future__ import annotations

from datetime import datetime

from bot.handlers.call import Tools
from bot.handlers.verb import Feature
from bot.slack.outcomes import Done, Outcome
from bot.slack.requests import Event
from storage.queries import delivery_failures, destinations


def left(tools: Tools, event: Event, _now: datetime) -> Outcome:
    """The bot is not in a channel any more: Slack is asked about it before it is next posted to."""
    with tools.store.write() as tx:
        destinations.forget_channel(tx, event.workspace_id, channel_of(event))
    return Done()


def opened(tools: Tools, event: Event, now: datetime) -> Outcome:
    """A channel takes messages again: what could not be shown there is."""
    with tools.store.write() as tx:
        delivery_failures.recover_channel(tx, event.workspace_id, channel_of(event), now)
    return Done()


def joined(tools: Tools, event: Event, now: datetime) -> Outcome:
    """Somebody joined a channel; it matters when that is the bot."""
    installation = tools.clients.find(event.workspace_id)
    if installation is None or event.event.get("user") != installation.bot_user_id:
        return Done()
    return opened(tools, event, now)


def shared(tools: Tools, event: Event, now: datetime) -> Outcome:
    """Another company reads a channel from now on: nothing more goes there, unless the organization allows it."""
    tools.channels.forget(event.workspace_id, channel_of(event))
    with tools.store.write() as tx:
        destinations.record_shared(tx, event.workspace_id, channel_of(event), True, now)
    return Done()


def unshared(tools: Tools, event: Event, now: datetime) -> Outcome:
    """Another company has left a channel; if it was the last one, what could not be shown there is."""
    still = bool(event.event.get("is_ext_shared"))
    tools.channels.forget(event.workspace_id, channel_of(event))
    with tools.store.write() as tx:
        destinations.record_shared(tx, event.workspace_id, channel_of(event), still, now)
        if not still:
            delivery_failures.recover_channel(tx, event.workspace_id, channel_of(event), now)
    return Done()


def channel_of(event: Event) -> str:
    """The channel's id, which some events bring as an object."""
    channel = event.event.get("channel")
    return str(channel.get("id") if isinstance(channel, dict) else channel)


HANDLES = (
    Feature(
        events={
            "channel_left": left,
            "group_left": left,
            "channel_shared": shared,
            "channel_unshared": unshared,
            "channel_unarchive": opened,
            "group_unarchive": opened,
            "member_joined_channel": joined,
        }
    ),
)
