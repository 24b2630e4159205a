"""Calls in the log of an incident and in its card's thread: who was called, who could not be, and who declined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bot.incidents.markup import escape
from bot.messages.blocks import Block, bold, context, format_date, truncate
from bot.messages.incident_parts import NAME_LENGTH, SEVERITY_LABELS
from storage.call_rows import MANAGERS, ON_CALL, TEAM, CallOutcome, CallRecord
from storage.rows import ActivityEntry, IncidentDetails, Mentionable
from storage.values import Status

MAX_NAMES = 20  # people in one sentence
_CALLED = {ON_CALL: "who is on call", TEAM: "the team", MANAGERS: "the managers"}


def render_call_entry(entry: ActivityEntry, people: Mapping[int, Mentionable] | None = None) -> str:
    """Who was called, or why nobody was (mrkdwn). With `people`, by member id, who was called is mentioned."""
    call = entry.call
    if call is None:
        return "Called somebody"
    following = ", so the next step comes now" if call.next_at_once else ""
    match call.outcome:
        case CallOutcome.DECLINED:
            return f"{bold(escape(entry.author or 'Someone'))} answered “Not me”{following}"
        case CallOutcome.NOBODY:
            return f"{_render_nobody(call)}{following or ', so nobody was called'}"
        case CallOutcome.CALLED:
            called = f"Called {_join(call.people, lambda one: _render_called(one, people))}{_render_role(call)}"
            return called + (f". {_render_blind(call)}" if call.blind else "")


def render_next_call(incident: IncidentDetails) -> list[Block]:
    """Who is called next for an incident that nobody owns, or why nobody is: one block, or none."""
    calls = incident.calls
    if calls is None or incident.status is Status.CLOSED or incident.owner is not None:
        return []
    if calls.due_at is not None:
        who = _CALLED.get(calls.who or "") or escape(calls.who or "")
        return [context(f":telephone_receiver: Next call: {who}, {format_date(calls.due_at)}")]
    if calls.has_steps:
        return [context(":telephone_receiver: No further calls: all steps were made, or somebody acknowledged")]
    if incident.team is None:
        return [context(":telephone_receiver: Nobody is called, because this belongs to no team, or to several")]
    severity = SEVERITY_LABELS[incident.status]
    team = truncate(escape(incident.team), NAME_LENGTH)
    return [context(f":telephone_receiver: Nobody is called: {team} has no calls for “{severity}”")]


def _render_called(one: tuple[int, str], people: Mapping[int, Mentionable] | None) -> str:
    known = (people or {}).get(one[0])
    return f"<@{known.slack_id}>" if known and known.slack_id else _render_name(one)


def _render_name(one: tuple[int, str]) -> str:
    return bold(truncate(escape(one[1]), NAME_LENGTH))


def _render_role(call: CallRecord) -> str:
    team = truncate(escape(call.team), NAME_LENGTH)
    match call.who:
        case "oncall":
            return f" (on call for {team})"
        case "team":
            return f" ({team})"
        case "managers":
            return " (managers)"
    return ""


def _render_nobody(call: CallRecord) -> str:
    if call.blind:
        return f"{_join(call.blind, _render_name)} cannot see this"
    team = truncate(escape(call.team), NAME_LENGTH)
    if call.who == ON_CALL:
        return f"Nobody is on call for {team}"
    if call.who == TEAM:
        return f"{team} has no members"
    if call.who == MANAGERS:
        return "There are no managers"
    return f"{truncate(escape(call.who), NAME_LENGTH)} is no longer a member"


def _render_blind(call: CallRecord) -> str:
    verb = "was" if len(call.blind) == 1 else "were"
    return f"{_join(call.blind, _render_name)} {verb} not called, because they cannot see this"


def _join(people: Sequence[tuple[int, str]], render: Callable[[tuple[int, str]], str]) -> str:
    names = [render(one) for one in people[:MAX_NAMES]]
    if more := len(people) - len(names):
        names.append(f"{more} more")
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
