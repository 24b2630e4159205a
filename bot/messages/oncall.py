"""Who is on call: the answer to `oncall`, the part of Home, and changes of shift in a channel."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.markup import escape
from bot.messages.blocks import MAX_BLOCKS, Message, bold, message, section, truncate
from bot.messages.incident_parts import NAME_LENGTH
from storage.call_rows import OnCall

MAX_NAMES = 20  # people of one team
MAX_TEAMS = MAX_BLOCKS - 1


def render_on_call(teams: Sequence[OnCall]) -> Message:
    """Who is on call for these teams, in one line for each."""
    lines = [render_team(team) for team in teams[:MAX_TEAMS]]
    text = "\n".join(lines)
    return message(text, [section(line) for line in lines])


def render_team(team: OnCall, *, linked: bool = False) -> str:
    """Who is on call for a team (mrkdwn). It mentions nobody.

    `linked`: with the user group by its handle, unless nobody is in it: it may be gone. In a message, that mentions all
    of it.
    """
    name = bold(truncate(escape(team.team), NAME_LENGTH))
    if linked and team.usergroup and (team.people or team.strangers):
        name += f" (<!subteam^{escape(team.usergroup)}>)"
    if team.usergroup is None:
        return f"{name}: no user group says who is on call"
    if not team.is_read and team.problem is not None:
        return f"{name}: Slack does not show me the user group ({escape(team.problem)})"
    if not team.is_read:
        return f"{name}: I have not read the user group yet. Try again in a moment."
    names = [truncate(escape(one), NAME_LENGTH) for one in team.people]
    if team.strangers:
        count = len(team.strangers)
        names.append(f"{count} {'person' if count == 1 else 'people'} who {'is' if count == 1 else 'are'} not a member")
    if len(names) > MAX_NAMES:
        names = [*names[:MAX_NAMES], f"{len(names) - MAX_NAMES} more"]
    if not names:
        return f"{name}: nobody is on call"
    *first, last = names
    return f"{name}: {', '.join(first)} and {last}" if first else f"{name}: {last}"


def render_shift(team: str, user_ids: Sequence[str]) -> Message:
    """Says in a channel who is on call from now on."""
    name = bold(truncate(escape(team), NAME_LENGTH))
    people = [f"<@{user_id}>" for user_id in sorted(user_ids)]
    if len(people) > MAX_NAMES:
        people = [*people[:MAX_NAMES], f"{len(people) - MAX_NAMES} more"]
    if not people:
        line = f":telephone_receiver: Nobody is on call for {name} now."
    else:
        *first, last = people
        who = f"{', '.join(first)} and {last} are" if first else f"{last} is"
        line = f":telephone_receiver: {who} on call for {name} now."
    return message(line, [section(line)])
