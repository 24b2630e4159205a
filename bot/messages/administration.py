"""What managers and owners administer: the section of Home that counts it, and the windows that its buttons open."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from bot.incidents.markup import escape
from bot.messages.blocks import (
    MAX_FORM_TITLE,
    Block,
    Element,
    actions,
    bold,
    button,
    confirm,
    context,
    format_date,
    plain_text,
    section,
    truncate,
)
from bot.messages.forms import Form
from bot.messages.incident_parts import NAME_LENGTH
from storage.administration_rows import Counts, ProjectOverview, TeamOverview, TokenRow, Usergroup

SIZE = 20  # entries of a page; each takes at most two of a view's 100 blocks
_KEY = "admin"  # in the private metadata of the window
_MAX_PAGE = 1_000_000
_MAX_HOME = 250  # characters of its private metadata, of which JSON may make six times as many
_MOST_NAMED = 10  # teams or channels of one project
_SOURCES = {"alertmanager": "Alertmanager", "grafana": "Grafana", "events": "Events", "sentry": "Sentry"}


class Topic(StrEnum):
    """What a window is about."""

    MEMBERS = "members"
    TEAMS = "teams"
    PROJECTS = "projects"
    CALLS = "calls"
    DIGESTS = "digests"
    SILENCES = "silences"
    TOKENS = "tokens"


TITLES = {topic: topic.value.capitalize() for topic in Topic}
_EMPTY = {
    Topic.MEMBERS: "No members.",
    Topic.TEAMS: "No teams.",
    Topic.PROJECTS: "No projects.",
    Topic.CALLS: "No teams, so nobody is called.",
    Topic.DIGESTS: "No digests. `digest` makes one in a channel.",
    Topic.SILENCES: "No silences.",
    Topic.TOKENS: "No tokens.",
}
# Where it came from, and what the next `apply` does about it.
_ORIGINS = {
    Topic.MEMBERS: "For everybody whom the organization file names, the next `apply` takes back what was changed in"
    " Slack. Everybody else stays. `members WORDS` searches.",
    Topic.TEAMS: "Teams and their user groups come from the organization file, and are changed there.",
    Topic.PROJECTS: "Projects and their channels come from the organization file, and are changed there.",
    Topic.CALLS: "Calls from the organization file are changed there. Those set in Slack count until the file has calls"
    " for the team.",
    Topic.DIGESTS: "Digests with a name come from the organization file: the next `apply` takes back what was changed"
    " about them in Slack.",
    Topic.SILENCES: "Silences are made in Slack or in Alertmanager. `apply` does not change them.",
    Topic.TOKENS: "Tokens are made by `run_bot.py token create`, which shows their secret once. `apply` does not change"
    " them.",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a window; Slack stores it with the window."""

    topic: Topic
    number: int = 0
    home: str = ""  # the private metadata of Home, below the window

    def to_value(self) -> str:
        """The page as a button's value or the window's private metadata."""
        return json.dumps({_KEY: self.topic.value, "p": self.number, "h": self.home}, separators=(",", ":"))

    @classmethod
    def find(cls, text: str) -> Self | None:
        """The page that `to_value` has written; None for anything else."""
        try:
            found = json.loads(text)
            number = min(max(int(found["p"]), 0), _MAX_PAGE)
            return cls(Topic(found[_KEY]), number, str(found.get("h", ""))[:_MAX_HOME])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None


# --- Home ----------------------------------------------------------------------------------------------------


def render_section(counts: Counts) -> list[Block]:
    """The section of Home: a line with a count for each topic, and the buttons that open their windows."""
    used = f"last used {format_date(counts.token_last_used)}" if counts.token_last_used else "never used"
    with_calls = counts.teams_with_calls
    lines = [
        _join(_count(counts.members, "member"), _more(counts.members_changed_in_slack, "changed in Slack")),
        _join(_count(counts.teams, "team"), _more(counts.teams_synced, "with members from a user group")),
        _join(_count(counts.projects, "project"), _count(counts.channels, "channel")),
        _join(f"Calls for {_count(with_calls, 'team')}", _more(counts.teams_with_calls_of_slack, "set in Slack"))
        if with_calls
        else "no call rules",
        _join(_count(counts.digests, "digest"), _more(counts.digests_paused, "paused")),
        _count(counts.silences, "silence"),
        _join(_count(counts.tokens, "token"), used if counts.tokens else ""),
    ]
    buttons = [button(TITLES[topic], f"admin_{topic.value}", Page(topic).to_value()) for topic in Topic]
    return [
        section("\n".join(["*Administration*", *(line[0].upper() + line[1:] for line in lines)])),
        actions(buttons, "administration"),
    ]


def _count(number: int, what: str) -> str:
    """`12 members`, `1 member`, `no members`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}" if number else f"no {what}s"


def _more(number: int, what: str) -> str:
    return f"{number:,} {what}" if number else ""


def _join(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


# --- the windows ---------------------------------------------------------------------------------------------


def render_window(
    page: Page, entries: Sequence[Block], *, more: bool, notice: str | None, buttons: Sequence[Element]
) -> Form:
    """A page of a topic. `more`: another one follows. `notice` (mrkdwn) is what was just changed."""
    blocks: list[Block] = [section(f":white_check_mark: {notice}")] if notice else []
    blocks += entries or [section(_EMPTY[page.topic])]
    turning = list(buttons)
    if page.number:
        turning.append(button("Previous", "admin_previous", replace(page, number=page.number - 1).to_value()))
    if more:
        turning.append(button("Next", "admin_next", replace(page, number=page.number + 1).to_value()))
    if turning:
        blocks.append(actions(turning))
    blocks.append(context(_ORIGINS[page.topic]))
    return {
        "type": "modal",
        "title": plain_text(TITLES[page.topic], MAX_FORM_TITLE),
        "close": plain_text("Close", MAX_FORM_TITLE),
        "private_metadata": page.to_value(),
        "blocks": blocks,
    }


def build_add_button() -> Element:
    """`Add member`."""
    return button("Add member", "member_add", "1")


def render_team(team: TeamOverview) -> Block:
    """A team with its members and user groups."""
    members = _count(team.members, "member")
    if team.usergroup and team.synced:
        members += f" from {_render_usergroup(team.usergroup)}"
    elif team.usergroup:
        members += f" · user group {_render_usergroup(team.usergroup)}"
    on_call = f" · on call: {_render_usergroup(team.on_call)}" if team.on_call else ""
    return section(f"{_render_name(team.name)} · {members}{on_call}")


def _render_usergroup(group: Usergroup) -> str:
    """The user group by its handle; by its id where this workspace does not show it."""
    return f"`{escape(group.id)}` (Slack does not show it here)" if group.problem else f"<!subteam^{escape(group.id)}>"


def render_project(project: ProjectOverview) -> Block:
    """A project with its teams and channels."""
    teams = _list([truncate(escape(team), NAME_LENGTH) for team in project.teams]) or "no team"
    channels = _list([f"<#{escape(channel)}>" for channel in project.channels]) or "no channel"
    return section(f"{_render_name(project.name)} · {teams}\n{channels}")


def _list(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _render_name(name: str) -> str:
    return bold(truncate(escape(name), NAME_LENGTH))


def render_token(token: TokenRow) -> Block:
    """A token with its last use, and `Revoke`."""
    source = _SOURCES.get(token.source, escape(token.source))
    project = f"project {truncate(escape(token.project), NAME_LENGTH)}" if token.project else "all projects"
    used = f"last used {format_date(token.last_used)}" if token.last_used else "never used"
    text = f"{bold(f'Token {token.id}')} · {source} · {project}\nCreated {format_date(token.date_added)} · {used}"
    if token.last_refused:
        refused = f":warning: Last delivery refused {format_date(token.last_refused)}: "
        text += f"\n{refused}{escape(truncate(token.last_refusal or '', 200))}"
    asked = confirm(f"Revoke token {token.id}?", "Alerts that are sent with it are refused from then on.", "Revoke")
    return section(text, accessory=button("Revoke", "token_revoke", str(token.id), style="danger", confirm=asked))


def render_revoked(token_id: int, *, before: bool) -> str:
    """The answer to who revoked a token. `before`: it had been revoked already."""
    return f"Token {token_id} was revoked before." if before else f"You revoked token {token_id}."
