"""`oncall`: who is on call now, and the events of Slack that change it."""

from __future__ import annotations

from datetime import datetime

from bot.handlers.context import Context, Services
from bot.handlers.verb import Feature, Verb
from bot.incidents.words import unquote
from bot.messages import oncall as messages
from bot.messages.help import Group
from bot.people import oncall
from bot.slack.requests import Command, Event
from bot.slack.responses import Answer, Done, Response

USAGE = "oncall [team]"


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`oncall [team]`."""
    team = unquote(words)
    found = oncall.list_on_call(context.connection, context.access, team or None)
    return Answer(messages.render_on_call(found))


def handle_changed(services: Services, event: Event, _now: datetime) -> Response:
    """`subteam_members_changed`, `subteam_updated`: the user group is read again, if it says who is on call."""
    group = event.event.get("subteam")
    usergroup = event.event.get("subteam_id") or (group.get("id") if isinstance(group, dict) else None)
    if isinstance(usergroup, str):
        with services.store.write() as tx:
            oncall.expire_usergroup(tx, event.workspace_id, usergroup)
    return Done()


HANDLES = (
    Verb(
        name="oncall",
        usage=USAGE,
        summary="Shows who is on call now: for your teams, or for the team that you name.",
        examples=("oncall", "oncall payments"),
        group=Group.READ,
        synonyms=("on-call", "pager", "rota", "duty"),
        phrases=("who is on call", "whos on call", "who is oncall", "whos oncall", "on call"),
        command=handle_command,
    ),
    Feature(events={"subteam_members_changed": handle_changed, "subteam_updated": handle_changed}),
)
