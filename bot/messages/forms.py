"""The forms that buttons and commands open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.incidents.filters import MAX_TEAMS, ListQuery, find_date, split_ago
from bot.incidents.limits import MAX_COMMENT_LENGTH, MAX_ENVIRONMENT_LENGTH, MAX_TITLE_LENGTH
from bot.incidents.markup import encode_entities
from bot.incidents.severities import SEVERITIES
from bot.messages.blocks import (
    MAX_FORM_TITLE,
    MAX_OPTION_TEXT,
    MAX_OPTION_VALUE,
    MAX_OPTIONS,
    Block,
    Message,
    build_input,
    plain_text,
    section,
)
from bot.messages.incident import LIST_NAMES, render_title
from bot.messages.incident_menu import build_incident_menu
from bot.messages.incident_parts import SEVERITY_NAMES

Form = dict[str, Any]

COMMENT = "comment"  # the ids of the block and the element of every rich text field


def build_form(callback_id: str, title: str, submit: str, origin: str, blocks: list[Block]) -> Form:
    """A form with a button to submit it. `origin` is its private metadata."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain_text(title, MAX_FORM_TITLE),
        "submit": plain_text(submit, MAX_FORM_TITLE),
        "close": plain_text("Cancel", MAX_FORM_TITLE),
        "private_metadata": origin,
        "blocks": blocks,
    }


def _build_rich_text_field(label: str, *, optional: bool, initial: dict[str, Any] | None = None) -> Block:
    element: dict[str, Any] = {"type": "rich_text_input", "action_id": COMMENT}
    if initial:
        element["initial_value"] = initial
    hint = f"Up to {MAX_COMMENT_LENGTH:,} characters. People and teams that you mention with @ are notified."
    return build_input(COMMENT, label, element, hint=hint, optional=optional)


def render_resolve_form(identifier: int, title: str, origin: str) -> Form:
    """The form that resolves an incident, with an optional comment."""
    blocks = [section(render_title(identifier, title)), _build_rich_text_field("Comment", optional=True)]
    return build_form("resolve", _render_form_title("Resolve", identifier), "Resolve", origin, blocks)


def render_comment_form(identifier: int, title: str, origin: str) -> Form:
    """The form for a new comment."""
    blocks = [section(render_title(identifier, title)), _build_rich_text_field("Comment", optional=False)]
    return build_form("comment", _render_form_title("Comment", identifier), "Comment", origin, blocks)


def render_edit_form(identifier: int, title: str, content: dict[str, Any], origin: str) -> Form:
    """The form that edits a comment."""
    blocks = [
        section(render_title(identifier, title)),
        _build_rich_text_field("Comment", optional=False, initial=content),
    ]
    return build_form("comment_edit", _render_form_title("Edit", identifier), "Save", origin, blocks)


def render_handoff_form(identifier: int | None, title: str | None, count: int, origin: str) -> Form:
    """The form that hands off an incident; without `identifier`, the `count` incidents that the caller owns."""
    if identifier is None:
        what = "the incident that you own" if count == 1 else f"the {count} incidents that you own"
        heading = section(f"You hand off {what}.")
    else:
        heading = section(render_title(identifier, title or ""))
    person: dict[str, Any] = {"type": "users_select", "action_id": "person", "placeholder": plain_text("Choose", 150)}
    blocks = [
        heading,
        build_input("person", "Who takes over?", person, hint="They own it when they accept, within 24 hours."),
        _build_rich_text_field("Note", optional=True),
    ]
    name = "Hand off" if identifier is None else _render_form_title("Hand off", identifier)
    return build_form("handoff", name, "Hand off", origin, blocks)


def _render_form_title(verb: str, identifier: int) -> str:
    return f"{verb} #{identifier}"


# --- declaring ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """The initial values of the form that declares an incident."""

    title: str = ""
    severity: str = "none"
    project: str | None = None  # slug
    team: str | None = None  # slug
    environment: str = ""


def render_declare_form(
    draft: Draft, projects: Sequence[tuple[str, str]], teams: Sequence[tuple[str, str]], origin: str
) -> Form:
    """The form that declares an incident. `projects` and `teams` are the choices, each a slug and a name."""
    severities = [(word, SEVERITY_NAMES[status]) for word, status in SEVERITIES.items()]
    blocks = [
        build_text_field(
            "title", "Title", "What is wrong, in one line", draft.title, optional=False, length=MAX_TITLE_LENGTH
        ),
        build_select("severity", "Severity", severities, draft.severity, optional=False),
        build_select("project", "Project", projects, draft.project, optional=False),
    ]
    if teams:
        blocks.append(build_select("team", "Team", teams, draft.team, optional=True))
    blocks.append(
        build_text_field(
            "env", "Environment", "production", draft.environment, optional=True, length=MAX_ENVIRONMENT_LENGTH
        )
    )
    return build_form("declare", "Declare an incident", "Declare", origin, blocks)


# --- a message becomes a comment ---------------------------------------------------------------------------


def render_add_to_incident_form(quote: str, origin: str) -> Form:
    """The form that adds a message to an incident. `quote` is the beginning of the message (mrkdwn)."""
    chooser = build_input("incident", "Incident", build_incident_menu("incident", "Search by number or title"))
    return build_form("add_to_incident", "Add to incident", "Add", origin, [chooser, section(quote)])


# --- the filters of a list ---------------------------------------------------------------------------------


_ONLY = {"unseen": "Not acknowledged by me", "following": "Followed by me", "silenced": "Silenced"}


@dataclass(frozen=True, slots=True)
class FilterChoices:
    """What can be chosen in the fields that filter incidents, each a slug and a name."""

    projects: Sequence[tuple[str, str]]
    teams: Sequence[tuple[str, str]]


def render_filter_form(query: ListQuery, choices: FilterChoices, origin: str) -> Form:
    """The form that changes the filters of a list."""
    only = []
    if query.unseen:
        only.append("unseen")
    if query.following:
        only.append("following")
    if query.silenced:
        only.append("silenced")
    blocks = [
        build_select("show", "Show", list(LIST_NAMES.items()), query.show, optional=False),
        *_build_common_filters(query, choices, {"me": "Me", "none": "Nobody"}),
        *_build_time_fields("since", "Since", "Or since a date", query.since),
        *_build_time_fields("until", "Until", "Or until a date", query.until),
        _build_checkboxes("only", "Only", _ONLY, only),
    ]
    return build_form("list_filter", "Filter incidents", "Show", origin, blocks)


def build_digest_filters(query: ListQuery, choices: FilterChoices) -> list[Block]:
    """The fields that say which incidents a digest has. It is for a whole channel: "me" and "followed" mean nothing.

    The fields for times are rarely of use there, so they are shown only if the digest has such a filter.
    """
    severities = {"open": "Any severity", "critical": "Only critical", "warning": "Only warning"}
    shown = query.show if query.show in severities else "open"
    blocks = [
        build_select("show", "Severity", list(severities.items()), shown, optional=False),
        *_build_common_filters(query, choices, {"none": "Nobody"}),
    ]
    if query.since:
        blocks += _build_time_fields("since", "Since", "Or since a date", query.since)
    if query.until:
        blocks += _build_time_fields("until", "Until", "Or until a date", query.until)
    unseen = {"unseen": "Not acknowledged by anybody"}
    return [*blocks, _build_checkboxes("only", "Only", unseen, ["unseen"] if query.unseen else [])]


def _build_common_filters(query: ListQuery, choices: FilterChoices, owners: Mapping[str, str]) -> list[Block]:
    words = " ".join(f'"{word}"' if " " in word else word for word in query.words)
    environment = [(query.environment, query.environment)] if query.environment else []
    # The caller may have typed something that the menus do not offer.
    project = [query.project] if query.project else []
    owner = [query.owner] if query.owner else []
    return [
        build_text_field("words", "Words in the title", "payments timeout", words, optional=True, length=300),
        build_select("project", "Project", _add_missing(choices.projects, project), query.project, optional=True),
        build_several("team", "teams", "Teams", _add_missing(choices.teams, query.teams), query.teams, most=MAX_TEAMS),
        _build_lookup("env", "Environment", "Choose or type one", environment),
        build_select("owner", "Owner", _add_missing(list(owners.items()), owner), query.owner, optional=True),
    ]


def _add_missing(choices: Sequence[tuple[str, str]], chosen: Sequence[str]) -> list[tuple[str, str]]:
    """The choices, and behind them what is chosen and not among them."""
    return [*choices, *((value, value.removeprefix("@")) for value in chosen if value not in dict(choices))]


def _build_time_fields(block_id: str, label: str, date_label: str, initial: str | None) -> list[Block]:
    """A menu that takes typed times like 36h, and a date picker."""
    day = find_date(initial) if initial else None
    times = [(initial, render_time(initial))] if initial and not day else []
    element: dict[str, Any] = {"type": "datepicker", "action_id": f"{block_id}_date"}
    if day:
        element["initial_date"] = day.isoformat()
    return [
        _build_lookup(block_id, label, "Choose or type 36h", times),
        build_input(f"{block_id}_date", date_label, element, optional=True),
    ]


def render_time(value: str) -> str:
    """A time of a filter as an option of a menu: `24h` is "24 hours ago"."""
    ago = split_ago(value)
    if ago is None:
        return value
    count, unit = ago
    return f"{count} {unit.removesuffix('s') if count == 1 else unit} ago"


# --- fields ------------------------------------------------------------------------------------------------


def build_text_field(block_id: str, label: str, example: str, initial: str, *, optional: bool, length: int) -> Block:
    element: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": block_id,
        "max_length": length,
        "placeholder": plain_text(example, 150),
    }
    if initial:
        element["initial_value"] = initial[:length]
    return build_input(block_id, label, element, optional=optional)


def _build_option(value: str, label: str) -> dict[str, Any]:
    return {"text": plain_text(label, MAX_OPTION_TEXT), "value": value[:MAX_OPTION_VALUE]}


def build_select(
    block_id: str, label: str, choices: Sequence[tuple[str, str]], initial: str | None, *, optional: bool
) -> Block:
    """A menu of choices. If there are more than Slack allows, it looks them up while the person types."""
    element: dict[str, Any] = {"action_id": block_id, "placeholder": plain_text("Choose", 150)}
    if len(choices) > MAX_OPTIONS:
        element |= {"type": "external_select", "min_query_length": 0}
    else:
        options = [_build_option(value, name) for value, name in choices] or [
            _build_option("-", "Nothing to choose from")
        ]
        element |= {"type": "static_select", "options": options}
    if initial in dict(choices):
        element["initial_option"] = _build_option(str(initial), dict(choices)[str(initial)])
    return build_input(block_id, label, element, optional=optional)


def _build_lookup(block_id: str, label: str, placeholder: str, initial: Sequence[tuple[str, str]]) -> Block:
    """A menu whose options are looked up while the person types. `initial` has the chosen one, if there is one."""
    element: dict[str, Any] = {
        "type": "external_select",
        "action_id": block_id,
        "placeholder": plain_text(placeholder, 150),
        "min_query_length": 0,
    }
    if initial:
        element["initial_option"] = _build_option(*initial[0])
    return build_input(block_id, label, element, optional=True)


def build_several(
    block_id: str,
    action_id: str,
    label: str,
    choices: Sequence[tuple[str, str]],
    initial: Sequence[str],
    *,
    most: int,
    hint: str | None = None,
) -> Block:
    """A menu in which several can be chosen. If there are too many, it looks them up while the person types."""
    element: dict[str, Any] = {
        "action_id": action_id,
        "placeholder": plain_text("Choose", 150),
        "max_selected_items": most,
    }
    options = {value: _build_option(value, name) for value, name in choices}
    if len(options) > MAX_OPTIONS:
        element |= {"type": "multi_external_select", "min_query_length": 0}
    else:
        element |= {"type": "multi_static_select", "options": list(options.values())}
    if initial:
        element["initial_options"] = [options[value] for value in initial]
    return build_input(block_id, label, element, hint=hint, optional=True)


def _build_checkboxes(block_id: str, label: str, choices: Mapping[str, str], initial: Sequence[str]) -> Block:
    options = {value: _build_option(value, name) for value, name in choices.items()}
    element: dict[str, Any] = {"type": "checkboxes", "action_id": block_id, "options": list(options.values())}
    if initial:
        element["initial_options"] = [options[value] for value in initial]
    return build_input(block_id, label, element, optional=True)


def build_options(choices: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Choices (value and name) as the options of a menu."""
    return [_build_option(value, name) for value, name in choices[:MAX_OPTIONS]]


def filter_options(choices: Sequence[tuple[str, str]], typed: str) -> list[dict[str, Any]]:
    """The choices (value and name) that match what was typed, as options of a menu."""
    part = typed.strip().lower()
    fitting = [(value, name) for value, name in choices if part in value.lower() or part in name.lower()]
    return build_options(fitting)


def render_window(message: Message, *, title: str = "Incident") -> Form:
    """A message in a modal, if there is no conversation to show it in."""
    return {
        "type": "modal",
        "title": plain_text(title, MAX_FORM_TITLE),
        "close": plain_text("Close", MAX_FORM_TITLE),
        "blocks": message["blocks"],
    }


def render_error(sentence: str) -> Form:
    """An error in place of a form that can no longer be submitted."""
    return {
        "type": "modal",
        "title": plain_text("Tocsin", MAX_FORM_TITLE),
        "close": plain_text("Close", MAX_FORM_TITLE),
        "blocks": [section(encode_entities(sentence))],
    }
