"""What is handed to the page: people, places, messages and forms, as values for JSON."""

from collections.abc import Iterable

from sandbox.platform import Platform
from sandbox.records import Channel, Json, Message, User
from sandbox.views import View
from sandbox.workspace import float_ts


def person(user: User) -> Json:
    """A person or bot."""
    return {
        "id": user.id,
        "handle": user.name,
        "name": user.real_name,
        "team": user.team_id,
        "title": user.title,
        "tz": user.tz,
        "bot": user.is_bot,
        "deleted": user.deleted,
        "guest": user.restricted or user.ultra_restricted,
    }


def channel(conversation: Channel) -> Json:
    """A channel or direct conversation."""
    return {
        "id": conversation.id,
        "name": conversation.name,
        "private": conversation.private,
        "im": conversation.is_im,
        "person": conversation.user_id,
        "topic": conversation.topic or conversation.purpose,
        "archived": conversation.archived,
        "shared": conversation.shared_with,
        "members": list(conversation.members),
    }


def message(posted: Message) -> Json:
    """A message as the Web API gives it, with what the page needs beside."""
    return posted.render() | {
        "channel": posted.channel_id,
        "ephemeral": posted.ephemeral_to is not None,
        "app": posted.by_app,
        "in_thread": posted.thread_ts,
        "broadcast": posted.broadcast,
    }


def view(platform: Platform, form: View) -> Json:
    """A form or Home, with what is filled in and the errors beside its fields."""
    return platform.views.render(form) | {"errors": dict(form.errors)}


def views(platform: Platform, user_id: str) -> Json:
    """Everything that is in front of one person: the stack of forms, the topmost last, and the Home."""
    home = platform.views.homes.get(user_id)
    return {
        "stack": [view(platform, form) for form in platform.views.stacks.get(user_id, [])],
        "home": view(platform, home) if home else None,
    }


def in_front_of(user_id: str, messages: Iterable[Message]) -> list[Message]:
    """Those of the messages that a person sees, oldest first."""
    mine = [one for one in messages if one.ephemeral_to in (None, user_id)]
    return sorted(mine, key=lambda one: float_ts(one.ts))


def connected(platform: Platform) -> bool:
    """Whether the app can be reached: it holds a socket, or takes requests over HTTP."""
    return platform.deliveries.transport is not platform.sockets or platform.sockets.connected > 0
