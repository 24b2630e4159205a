"""`declare`: a person opens an incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.handlers import redraw, view
from bot.handlers.context import Context
from bot.handlers.redraw import origin_of_press, origin_of_request
from bot.handlers.verb import Verb
from bot.incidents import lifecycle, projects
from bot.incidents.errors import InvalidInput
from bot.incidents.lifecycle import Declaration, check_title
from bot.incidents.markup import decode_slack_text, require_storable
from bot.incidents.projects import ManyProjects
from bot.incidents.severities import SEVERITIES, find_severity
from bot.incidents.words import Token, tokenize, unquote
from bot.messages import forms
from bot.messages.help import Group
from bot.slack.requests import Command, OptionsRequest, Press, Shortcut, Submission
from bot.slack.responses import Answer, Done, OpenForm, Response
from storage.values import Status

USAGE = "declare [warning|critical] [project:x] [team:x] [env:x] title"
_KEYS = ("project", "team", "env")
_WORDS = {status: word for word, status in SEVERITIES.items()}


@dataclass(slots=True)
class _Words:
    """What the words of a declaration say."""

    title: str = ""
    severity: Status | None = None
    options: dict[str, str] = field(default_factory=dict)


def handle_command(context: Context, request: Command, words: str) -> Response:
    """`declare [warning|critical] [project:x] [team:x] [env:x] title`; with nothing after it, a form."""
    line = decode_slack_text(require_storable(words))
    if not line and not request.in_message:
        return OpenForm(_build_form(context, forms.Draft(), request.channel_id, origin_of_request(request)))
    parsed = _parse(line)
    if not parsed.title:
        raise InvalidInput("An incident needs a title.", USAGE)
    try:
        declared = _build_declaration(context, parsed, request.channel_id)
    except ManyProjects:
        if request.in_message:  # no form can be opened from a message
            raise
        draft = forms.Draft(
            title=parsed.title,
            severity=_WORDS[parsed.severity or Status.OPEN],
            team=parsed.options.get("team"),
            environment=parsed.options.get("env", ""),
        )
        return OpenForm(_build_form(context, draft, request.channel_id, origin_of_request(request)))
    with context.write(once=request.key) as tx:
        incident = lifecycle.declare(tx, context.access, declared, context.now)
        return Answer(view.render(tx, context, incident.identifier, notice="You opened this incident."))


def handle_shortcut(context: Context, request: Shortcut) -> Response:
    """The global shortcut "Declare an incident"."""
    return OpenForm(_build_form(context, forms.Draft(), None, origin_of_request(request)))


def handle_press(context: Context, request: Press) -> Response:
    """`Declare` in Home."""
    return OpenForm(_build_form(context, forms.Draft(), None, origin_of_press(request)))


def handle_submission(context: Context, request: Submission) -> Response:
    """The form, submitted."""
    severity = find_severity(request.chosen("severity") or "none")
    if severity is None:
        raise InvalidInput("Choose a severity: Critical, Warning or None.")
    parsed = _Words(title=require_storable(request.text("title")).strip(), severity=severity)
    for key, value in (
        ("project", request.chosen("project")),
        ("team", request.chosen("team")),
        ("env", request.text("env")),
    ):
        if value and value.strip():
            parsed.options[key] = require_storable(value.strip())
    declared = _build_declaration(context, parsed, None)
    with context.write(once=request.key) as tx:
        incident = lifecycle.declare(tx, context.access, declared, context.now)
        message = view.render(tx, context, incident.identifier, notice="You opened this incident.")
        place = redraw.Place.of_origin(request.origin)
        return Done(redraw.redraw_in_place(tx, context, request, place, message))


def suggest_project(context: Context, request: OptionsRequest) -> list[dict[str, Any]]:
    """The options of the menu of projects, where there are too many to list."""
    return forms.filter_options(_project_options(context), require_storable(request.typed))


def suggest_team(context: Context, request: OptionsRequest) -> list[dict[str, Any]]:
    """The options of the menu of teams, where there are too many to list."""
    return forms.filter_options(_team_options(context), require_storable(request.typed))


def _build_declaration(context: Context, parsed: _Words, channel_id: str | None) -> Declaration:
    team = None
    if "team" in parsed.options:
        team = projects.team_by_slug(
            context.connection, context.access, parsed.options["team"], "declare team:{} title"
        )
    return Declaration(
        title=check_title(parsed.title),
        status=parsed.severity or Status.OPEN,
        project_ids=projects.choose_projects(
            context.connection,
            context.access,
            slug=parsed.options.get("project"),
            team_id=team.id if team else None,
            channel_id=channel_id,
        ),
        team_id=team.id if team else None,
        environment=parsed.options.get("env"),
    )


def _build_form(context: Context, draft: forms.Draft, channel_id: str | None, origin_: str) -> forms.Form:
    options = _project_options(context)
    if not options:
        raise projects.no_project()
    if draft.project is None:
        try:
            likely = projects.choose_projects(
                context.connection, context.access, slug=None, team_id=None, channel_id=channel_id
            )
        except ManyProjects:
            likely = []
        if len(likely) == 1:
            draft = replace(draft, project=projects.slug_of(context.connection, context.access, likely[0]))
    return forms.render_declare_form(draft, options, _team_options(context), origin_)


def _project_options(context: Context) -> list[tuple[str, str]]:
    return [(one.slug, one.name) for one in projects.list_projects(context.connection, context.access)]


def _team_options(context: Context) -> list[tuple[str, str]]:
    return [(one.slug, one.name) for one in projects.list_teams(context.connection, context.access)]


def _parse(line: str) -> _Words:
    """Severity and options stand before the title; options may also stand behind it."""
    parsed = _Words()
    found = _lenient_tokens(line)
    begin, end = 0, len(found)
    while begin < end and (found[begin].key in _KEYS or _is_severity(found[begin : begin + 2], parsed)):
        if found[begin].key is None:
            parsed.severity = SEVERITIES[found[begin].text.lower()]
        else:
            _take_option(parsed, found[begin])
        begin += 1
    while end > begin and found[end - 1].key in _KEYS:
        end -= 1
        _take_option(parsed, found[end])
    if begin < end:
        parsed.title = unquote(line[found[begin].start : found[end - 1].end])
    return parsed


def _is_severity(tokens: Sequence[Token], parsed: _Words) -> bool:
    """Whether the first of these tokens is the severity. The second one, if there is one, follows it."""
    words = [token.text.lower() for token in tokens if token.key is None and not token.quoted]
    if parsed.severity is not None or tokens[0].key is not None or tokens[0].quoted:
        return False
    # A title may begin with "open", or with "none of the …".
    return words[0] in SEVERITIES and words != ["none", "of"]


def _take_option(parsed: _Words, token: Token) -> None:
    assert token.key is not None
    if token.key in parsed.options:
        raise InvalidInput(f"`{token.key}:` is given twice. Give it once.", USAGE)
    if not token.text.strip():
        raise InvalidInput(f"`{token.key}:` needs a value.", USAGE)
    parsed.options[token.key] = token.text.strip()


def _lenient_tokens(line: str) -> list[Token]:
    # In a title a lone quote is a character like any other.
    try:
        return tokenize(line)
    except InvalidInput:
        return tokenize(line.translate({ord(quote): "'" for quote in '"“”„«'}))


HANDLES = (
    Verb(
        name="declare",
        usage=USAGE,
        summary="Opens an incident. `declare` alone opens a form.",
        brief="open an incident",
        examples=("declare critical project:checkout Payments fail with 502",),
        group=Group.OPEN,
        synonyms=("create", "new", "start", "raise", "report", "page"),
        command=handle_command,
        buttons={"declare": handle_press},  # Declare, in Home
        lookups={"project": suggest_project, "team": suggest_team},
        forms={"declare": handle_submission},
        shortcuts={"declare_incident": handle_shortcut},  # Declare an incident
    ),
)
