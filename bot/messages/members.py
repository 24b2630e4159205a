"""Members: their list, and the forms, questions and answers about a change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.incidents.filters import MAX_TEAMS
from bot.incidents.markup import escape
from bot.messages.blocks import (
    MAX_VALUE,
    Block,
    Element,
    Message,
    actions,
    bold,
    build_input,
    button,
    confirm,
    context,
    format_date,
    menu_entry,
    message,
    overflow,
    plain_text,
    section,
    text_message,
    truncate,
)
from bot.messages.forms import Form, build_form, build_select, build_several
from bot.messages.incident_parts import NAME_LENGTH
from storage.member_rows import MemberDetails, RemovedInSlack, SlackChange, TeamSync
from storage.values import Role

ROLE_NAMES: Mapping[Role, str] = {
    Role.MEMBER: "Member",
    Role.ADMIN: "Admin",
    Role.MANAGER: "Manager",
    Role.OWNER: "Owner",
}
_WITH_ARTICLE = {
    Role.MEMBER: "a member",
    Role.ADMIN: "an admin",
    Role.MANAGER: "a manager",
    Role.OWNER: "an owner",
}
MAX_LINE = 600
MAX_NAME = 100
MAX_SEARCH = 200  # characters of the words of a search
_MOST_TEAMS = 10  # that are named as an example
RETURNS = "If the organization file still names them, the next `apply` adds them again."


def render_list(
    found: Sequence[MemberDetails],
    changes: Mapping[int, SlackChange],
    count: int,
    words: str,
    page: int,
    size: int,
    *,
    removed: RemovedInSlack | None,
    teams: Sequence[str],
) -> Message:
    """A page of the members. `words` are what they are searched by.

    `removed` are those who were removed in Slack, and `teams` the slugs that could have been searched by.
    """
    if not count:
        sentence = f"“{escape(words)}” finds no member."
        return message(sentence, [section(sentence), _render_search_help(teams), *_render_removed_ones(removed)])
    heading = f"{count:,} member{'' if count == 1 else 's'}"
    heading += f" with “{escape(words)}”" if words else ""
    blocks: list[Block] = [section(bold(heading)), *render_entries(found, changes)]
    if count > size:
        first = page * size + 1
        blocks.append(context(f"{first:,} to {first + len(found) - 1:,} of {count:,}"))
    buttons: list[Element] = []
    if page > 0:
        buttons.append(button("Previous", "members_previous", _build_position(words, page - 1)))
    if (page + 1) * size < count:
        buttons.append(button("Next", "members_next", _build_position(words, page + 1)))
    if buttons:
        blocks.append(actions(buttons))
    return message(heading, [*blocks, *_render_removed_ones(removed)])


def _render_search_help(teams: Sequence[str]) -> Block:
    roles = ", ".join(f"`{role.value}`" for role in Role)
    slugs = ", ".join(f"`{escape(slug)}`" for slug in teams[:_MOST_TEAMS])
    more = f" and {len(teams) - _MOST_TEAMS:,} more" if len(teams) > _MOST_TEAMS else ""
    of_team = f", or a team ({slugs}{more})" if teams else ""
    return context(f"Search by a part of a name or e-mail address, a role ({roles}){of_team}.")


def _render_removed_ones(removed: RemovedInSlack | None) -> list[Block]:
    return [render_removed_in_slack(removed)] if removed and removed.count else []


def render_removed_in_slack(removed: RemovedInSlack) -> Block:
    """Who was removed in Slack, and may come back by the organization file."""
    names = [f"{render_name(name)} ({format_date(when)})" for name, when in removed.latest]
    more = f" and {removed.count - len(names):,} more" if removed.count > len(names) else ""
    return context(f"Removed in Slack: {', '.join(names)}{more}. {RETURNS}")


def _build_position(words: str, page: int) -> str:
    return json.dumps({"w": words, "p": page}, ensure_ascii=False)


def parse_position(value: str) -> tuple[str, int]:
    """The words and the page in a button's value; the first page of all where it is none."""
    try:
        found = json.loads(value)
        return str(found["w"])[:MAX_SEARCH], min(max(int(found["p"]), 0), 1_000_000)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return "", 0


def render_entries(found: Sequence[MemberDetails], changes: Mapping[int, SlackChange]) -> list[Block]:
    """Members, each with the menu of what can be changed. `changes` says what was changed in Slack, by id."""
    return [section(_render_line(one, changes.get(one.id)), accessory=_build_menu(one)) for one in found]


def _build_menu(member: MemberDetails) -> Element:
    value = str(member.id)
    return overflow(
        [
            menu_entry("Change role", "member_role", value),
            menu_entry("Change teams", "member_teams_change", value),
            menu_entry("Remove", "member_remove", value),
        ]
    )


def _render_line(member: MemberDetails, change: SlackChange | None) -> str:
    parts = [bold(render_name(member.name)), ROLE_NAMES[member.role]]
    if member.shown_email:
        parts.append(escape(member.shown_email))
    if member.teams:
        parts.append(escape(", ".join(member.teams.values())))
    if change is not None:
        parts.append(_render_change(change))
    return truncate(" · ".join(parts), MAX_LINE)


def _render_change(change: SlackChange) -> str:
    if change.added:
        return "added in Slack"
    before = [f"role was {ROLE_NAMES[change.role].lower()}"] if change.role else []
    if change.teams is not None:
        teams = [f"{slug} (former team)" if name is None else name for slug, name in change.teams.items()]
        before.append(f"teams were {escape(', '.join(teams)) or 'none'}")
    return f"changed in Slack ({', '.join(before)})" if before else "changed in Slack"


def render_name(name: str) -> str:
    """A member's name in mrkdwn."""
    return truncate(escape(name), MAX_NAME)


# --- the form, or the question where no form can be opened -----------------------------------------------------


def build_role_field(role: Role, allowed: Sequence[Role]) -> Block:
    """The menu of roles that the caller may give."""
    return build_select("role", "Role", [(one.value, ROLE_NAMES[one]) for one in allowed], role.value, optional=False)


def build_person_field() -> Block:
    """The menu of people, to add one of them."""
    person: dict[str, Any] = {"type": "users_select", "action_id": "person", "placeholder": plain_text("Choose", 150)}
    return build_input("person", "Who?", person)


def build_teams_fields(
    choices: Sequence[tuple[str, str]], chosen: Sequence[str], *, everybody_sees: bool
) -> list[Block]:
    """The menu of teams; nothing where there are none. `everybody_sees`: all members see all incidents."""
    if not choices:
        return []
    hint = None if everybody_sees else "Members and admins without a team see no incidents."
    most = max(MAX_TEAMS, len(chosen))
    return [build_several("teams", "member_teams", "Teams", choices, chosen, most=most, hint=hint)]


def render_form(text: str, title: str, submit: str, fields: Sequence[Block], origin: str) -> Form:
    """The form that confirms a change of a member. `text` says what it does, in mrkdwn."""
    return build_form("member_change", title, submit, origin, [section(text), *fields])


def render_question(text: str, label: str, value: Mapping[str, object]) -> Message:
    """The question before a change of a member, with a button that asks once more."""
    packed = json.dumps(value, ensure_ascii=False)
    if len(packed) > MAX_VALUE:
        sentence = "That is too long for a message. Use the command in a channel, which opens a form."
        return message(sentence, [section(sentence)])
    asked = confirm(f"{label}?", "This changes what the person can see and do.", label)
    return message(text, [section(text), actions([button(label, "member_confirm", packed, confirm=asked)])])


def render_added(member: MemberDetails, *, again: bool) -> str:
    """The answer to who added a member."""
    name = render_name(member.name)
    role = ROLE_NAMES[member.role].lower()
    if again:
        return f"You added {name} again, with the role {role}{_render_teams(member)}."
    return f"You added {name} with the role {role}{_render_teams(member)}."


def _render_teams(member: MemberDetails) -> str:
    if not member.teams:
        return ""
    return truncate(f" and the teams {escape(', '.join(member.teams.values()))}", 1000)


def render_role_changed(member: MemberDetails, *, nothing: bool) -> str:
    """The answer to who gave a member a role."""
    name, role = render_name(member.name), ROLE_NAMES[member.role].lower()
    if nothing:
        return f"{name} has the role {role} already. Nothing was changed."
    return f"{name} has the role {role} now."


def render_own_role(role: Role) -> Message:
    """The answer to who gave themselves a role that manages no members."""
    return text_message(f"You are {_WITH_ARTICLE[role]} now.")


def render_teams_changed(member: MemberDetails, *, nothing: bool) -> str:
    """The answer to who changed the teams of a member."""
    name = render_name(member.name)
    teams = truncate(escape(", ".join(member.teams.values())), 1000)
    if nothing:
        return f"{name} is in these teams already. Nothing was changed." if teams else f"{name} is in no team already."
    return f"{name} is in these teams now: {teams}." if teams else f"{name} is in no team now."


def render_removed(member: MemberDetails) -> str:
    """The answer to who removed a member."""
    name = render_name(member.name)
    return f"You removed {name}. What they wrote stays, and the incidents they owned have no owner. {RETURNS}"


def render_your_role(role: Role, by: str, organization: str) -> Message:
    """The direct message to a member whose role was changed."""
    return text_message(
        f"{render_name(by)} changed your role in {render_name(organization)}: you are {_WITH_ARTICLE[role]} now."
    )


def render_your_teams(member: MemberDetails, by: str, organization: str) -> Message:
    """The direct message to a member whose teams were changed."""
    teams = truncate(escape(", ".join(member.teams.values())), 1000)
    now = f"your teams are {teams} now" if teams else "you are in no team now"
    return text_message(f"{render_name(by)} changed your teams in {render_name(organization)}: {now}.")


def render_you_were_removed(by: str, organization: str) -> Message:
    """The direct message to somebody who was removed."""
    return text_message(
        f"{render_name(by)} removed you from {render_name(organization)}. You can no longer see its incidents."
    )


def render_stopped_sync(sync: TeamSync, usergroup_id: str) -> Message:
    """Asks a manager whether most members of a team are to leave it, because they left its user group."""
    team = bold(truncate(escape(sync.team), NAME_LENGTH))
    if sync.members > 1:
        said = f"{sync.leaving} of the {sync.members} members of {team} are no longer in <!subteam^{usergroup_id}>."
    else:
        said = f"The only member of {team} is no longer in <!subteam^{usergroup_id}>."
    text = f":warning: {said} Nobody was removed from the team, in case that is a mistake."
    people = "this member" if sync.leaving == 1 else f"these {sync.leaving} members"
    asked = confirm(
        "Remove members?", f"This removes {people} from {sync.team}. They may lose sight of its incidents.", "Remove"
    )
    remove = button("Remove them", "members_left", f"{sync.team_id}:{sync.leaving}", style="danger", confirm=asked)
    return message(text, [section(text), actions([remove])])


def render_synced(sync: TeamSync | None) -> Message:
    """Says what became of the confirmation."""
    if sync is None:
        text = "This team no longer follows a user group. Nothing was changed."
    elif not sync.leaving:
        text = f"{escape(sync.team)} already has the members of its user group."
    else:
        text = (
            f"{sync.leaving} {'member was' if sync.leaving == 1 else 'members were'} removed from {escape(sync.team)}."
        )
    return message(text, [section(text)])
