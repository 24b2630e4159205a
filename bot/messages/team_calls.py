"""The rules of teams that say who is called: the answer to `calls`, and the form that changes them."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.call_rules import MAX_LENGTH, RULES, format_rules
from bot.incidents.markup import escape
from bot.messages.blocks import (
    Block,
    Message,
    bold,
    build_input,
    button,
    context,
    message,
    plain_text,
    section,
    truncate,
)
from bot.messages.forms import Form, build_form
from bot.messages.incident_parts import NAME_LENGTH
from storage.call_rows import TeamCalls

MAX_TEAMS = 20
IN_FILE = "The organization file sets these calls, so they can only be changed there."
_HINT = (
    "One rule per line: a severity (critical, warning, none); who is called (oncall, team, managers or an e-mail"
    " address); then, if you like, after 15m, repeat 15m, quiet 22:00-07:00, until acknowledged. Without rules, nobody"
    " is called."
)
_EXAMPLE = "critical managers after 15m repeat 15m"  # one line: Slack shows no line breaks there


def render_team_calls(teams: Sequence[TeamCalls], *, may_change: bool) -> Message:
    """The rules of these teams, with `Edit` for somebody who may change them."""
    blocks = render_entries(teams[:MAX_TEAMS], may_change=may_change)
    if len(teams) > MAX_TEAMS:
        blocks.append(context(f"{len(teams) - MAX_TEAMS} more teams are not shown. Name one: `calls team:payments`."))
    return message("Who is called for new incidents", blocks)


def render_entries(teams: Sequence[TeamCalls], *, may_change: bool, with_origin: bool = False) -> list[Block]:
    """The rules of each team, with `Edit` for somebody who may change them. `with_origin`: and who has set them."""
    return [_render_team(team, may_change=may_change, with_origin=with_origin) for team in teams]


def render_changed(team: TeamCalls) -> Message:
    """The answer after a change of the rules."""
    name = truncate(escape(team.name), NAME_LENGTH)
    sentence = f"You changed the calls of {name}."
    return message(sentence, [section(sentence), _render_team(team, may_change=True)])


def _render_team(team: TeamCalls, *, may_change: bool, with_origin: bool = False) -> Block:
    name = bold(truncate(escape(team.name), NAME_LENGTH))
    if with_origin and team.in_file:
        name += " · from the organization file"
    elif with_origin and team.rules:
        name += " · set in Slack"
    lines = [name, *_list_rules(team)]
    edit = button("Edit", "calls_edit", str(team.id)) if may_change else None
    return section("\n".join(lines), accessory=edit)


def _list_rules(team: TeamCalls) -> list[str]:
    return [f"• {escape(rule)}" for rule in format_rules(team.rules).splitlines()] or ["Nobody is called."]


def render_form(team: TeamCalls, origin: str) -> Form:
    """The form that changes the rules of a team; only to read where the organization file has them."""
    heading = section(bold(truncate(escape(team.name), NAME_LENGTH)))
    if team.in_file:
        return {
            "type": "modal",
            "title": plain_text("Calls", 24),
            "close": plain_text("Close", 24),
            "blocks": [heading, section("\n".join(_list_rules(team))), context(IN_FILE)],
        }
    element = {
        "type": "plain_text_input",
        "action_id": RULES,
        "multiline": True,
        "max_length": MAX_LENGTH,
        "placeholder": plain_text(_EXAMPLE, 150),
    }
    if team.rules:
        element["initial_value"] = format_rules(team.rules)[:MAX_LENGTH]
    field = build_input(RULES, "Who is called, and when", element, hint=_HINT, optional=True)
    return build_form("calls", "Calls", "Save", origin, [heading, field])


def render_end_form(team: TeamCalls, origin: str) -> Form:
    """Asks whether nobody is to be called any more, because the form was emptied. It shows the rules that would go."""
    name = bold(truncate(escape(team.name), NAME_LENGTH))
    question = section(f":warning: Nobody will be called for incidents of {name} any more. These calls end:")
    rules = section("\n".join(_list_rules(team)))
    return build_form("calls", "End all calls?", "End calls", origin, [question, rules])
