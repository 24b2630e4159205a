"""App Home: tabs, incidents with their buttons, pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.incidents.errors import InvalidInput
from bot.messages.administration import render_section
from bot.messages.blocks import Block, Element, Message, actions, button, context, divider, header, section
from bot.messages.followed import render_followed_line
from bot.messages.incident import NO_PROJECT, build_cursor, parse_cursor, render_line, render_silences_ending
from bot.messages.oncall import render_team
from storage.administration_rows import Counts
from storage.call_rows import OnCall
from storage.rows import Cursor, IncidentLine, IncidentPage

HomeView = dict[str, Any]

TEAMS_SHOWN = 5  # with who is on call for them


class Tab(StrEnum):
    """A tab of Home."""

    MINE = "mine"  # the open incidents of the caller's teams' projects
    FOLLOWING = "following"  # what the caller follows
    UNSEEN = "unseen"  # what the caller has not acknowledged
    ALL = "all"  # every open incident that the caller sees


_LABELS = {
    Tab.MINE: "My teams",
    Tab.FOLLOWING: "Following",
    Tab.UNSEEN: "Not acknowledged",
    Tab.ALL: "All open",
}
_HEADINGS = {
    Tab.MINE: "Open incidents in your teams' projects",
    Tab.FOLLOWING: "Open incidents that you follow",
    Tab.UNSEEN: "Open incidents that you have not acknowledged",
    Tab.ALL: "All open incidents",
}
_EMPTY = {
    Tab.MINE: "No open incidents in your teams' projects.",
    Tab.FOLLOWING: "You do not follow any open incident.",
    Tab.UNSEEN: "You have acknowledged all open incidents.",
    Tab.ALL: "No open incidents.",
}
SEVERITY_TABS = {"open": "Any severity", "warning": "Warning", "critical": "Critical"}  # by the word of a list


@dataclass(frozen=True, slots=True)
class State:
    """The tab, severity and page that somebody looks at; Slack stores it with the view."""

    tab: Tab = Tab.MINE
    severity: str = "open"
    cursor: Cursor | None = None

    def to_value(self) -> str:
        """The state as a button's value or the view's private metadata."""
        state: dict[str, Any] = {"tab": self.tab.value, "sev": self.severity}
        if self.cursor:
            state["at"] = build_cursor(self.cursor)
        return json.dumps(state, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> State:
        """Parses what `to_value` returned. Raises InvalidInput for anything else."""
        try:
            state = json.loads(text)
            severity = str(state["sev"])
            if severity not in SEVERITY_TABS:
                raise ValueError
            cursor = parse_cursor(state["at"]) if state.get("at") else None
            return cls(Tab(state["tab"]), severity, cursor)
        except (ValueError, KeyError, TypeError):
            raise InvalidInput("This button is from an older version. Open Home again.") from None


def render_closed_home(message: Message) -> HomeView:
    """Home for somebody who may see no incidents; `message` says why."""
    return {"type": "home", "private_metadata": "", "blocks": message["blocks"]}


def render_home(
    state: State,
    page: IncidentPage,
    own: Sequence[IncidentLine],
    organization: str,
    now: datetime,
    *,
    more: bool,
    on_call: Sequence[OnCall],
    silences_ending: int,
    administered: Counts | None,
    sees_nothing: bool,
    followed: Sequence[str] = (),
) -> HomeView:
    """Home with the incidents that the caller owns, and a page of incidents.

    `more`: the caller owns others, too. `on_call` is who is on call for the caller's teams. `silences_ending` is how
    many silences end today. `followed` is what the caller follows before it exists. `administered` counts what the
    caller administers. `sees_nothing`: the caller has no project.
    """
    blocks: list[Block] = [
        header(f"{organization} incidents"),
        actions([*_build_tabs(state), button("Declare", "declare", "home")], "tabs"),
        actions(_build_severities(state), "severities"),
        divider(),
    ]
    if own:
        blocks.append(section("*Incidents that you own*"))
        for line in own:
            blocks += _render_line(line, now)
        if more:
            blocks.append(context("These are the newest. `list mine` shows all that you own."))
        blocks.append(divider())
    blocks.append(section(f"*{_HEADINGS[state.tab]}*"))
    if state.tab is Tab.FOLLOWING:
        blocks += render_followed_line(followed)
    above = {line.identifier for line in own}
    others = [line for line in page.lines if line.identifier not in above]
    if not others:
        blocks.append(section(_render_empty(state, others_above=bool(page.lines), sees_nothing=sees_nothing)))
    for line in others:
        blocks += _render_line(line, now)
    turning = []
    if page.newer:
        turning.append(button("Previous", "home_previous", replace(state, cursor=page.newer).to_value()))
    if page.older:
        turning.append(button("Next", "home_next", replace(state, cursor=page.older).to_value()))
    if turning:
        blocks.append(actions(turning, "turning"))
    if on_call:
        lines = [render_team(team, linked=True) for team in on_call[:TEAMS_SHOWN]]
        blocks.append(context(f":telephone_receiver: On call now: {' · '.join(lines)}"))
    if silences_ending:
        blocks.append(context(f":no_bell: {render_silences_ending(silences_ending)}. `silence list` shows them."))
    blocks.append(context("Everything above also works as a command."))
    if administered:
        blocks += [divider(), *render_section(administered)]
    return {"type": "home", "private_metadata": state.to_value(), "blocks": blocks}


def _render_empty(state: State, *, others_above: bool, sees_nothing: bool) -> str:
    if sees_nothing:
        return NO_PROJECT
    if others_above:
        return ":white_check_mark: No other incidents here."
    empty = _EMPTY[state.tab] if state.severity == "open" else f"No {state.severity} incidents open here."
    return f":white_check_mark: {empty}"


def _build_tabs(state: State) -> list[Element]:
    return [
        button(
            label,
            f"home_tab_{tab.value}",
            replace(state, tab=tab, cursor=None).to_value(),
            style="primary" if tab is state.tab else None,
        )
        for tab, label in _LABELS.items()
    ]


def _build_severities(state: State) -> list[Element]:
    return [
        button(
            label,
            f"home_severity_{severity}",
            replace(state, severity=severity, cursor=None).to_value(),
            style="primary" if severity == state.severity else None,
        )
        for severity, label in SEVERITY_TABS.items()
    ]


def _render_line(line: IncidentLine, now: datetime) -> list[Block]:
    value = str(line.identifier)
    if line.owned_by_caller:
        owning = [button("Release", "release", value)]
    else:
        owning = [] if line.owner else [button("Take it", "take", value)]
    return [
        section(render_line(line, now)),
        actions(
            [
                button("View", "view", value),
                button("Acknowledge", "acknowledge", value),
                *owning,
                button("Resolve", "resolve", value),
                button("Comment", "comment", value),
            ]
        ),
    ]
