"""`declare`: a person opens an incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.handlers import surface, view
from bot.handlers.call import Call
from bot.handlers.surface import origin, origin_of
from bot.handlers.verb import Verb
from bot.incidents import lifecycle, search
from bot.incidents.errors import BadWords, Refusal
from bot.incidents.lifecycle import Declaration, checked_title
from bot.incidents.markup import readable, storable
from bot.incidents.words import Token, tokens, unquoted
from bot.messages import forms
from bot.messages.help import Group
from bot.slack.outcomes import Answer, Done, OpenForm, Outcome
from bot.slack.requests import Command, Press, Shortcut, Submission, Suggestion
from storage.queries import directory
from storage.values import Status

FORM = "declare [warning|critical] [project:x] [team:x] [env:x] title"
_KEYS = ("project", "team", "env")
_SEVERITIES = {"warning": Status.WARNING, "critical": Status.CRITICAL}
_WORDS = {Status.OPEN: "open", **{status: word for word, status in _SEVERITIES.items()}}


@dataclass(slots=True)
class _Said:
    """What the words of a declaration say."""

    title: str = ""
    status: Status = Status.OPEN
    options: dict[str, str] = field(default_factory=dict)


class _WhichProject(Refusal):
    """Several projects are possible, and the words name none."""


def command(call: Call, ask: Command, words: str) -> Outcome:
    """`declare [warning|critical] [project:x] [team:x] [env:x] title`; with nothing after it, a form."""
    line = readable(storable(words))
    if not line and not ask.said:
        return OpenForm(_form(call, forms.Draft(), ask.channel_id, origin_of(ask)))
    said = _read(line)
    if not said.title:
        raise BadWords("An incident needs a title.", FORM)
    try:
        declared = _declaration(call, said, ask.channel_id)
    except _WhichProject:
        if ask.said:  # no form can be opened from a message
            raise
        draft = forms.Draft(
            title=said.title,
            severity=_WORDS[said.status],
            team=said.options.get("team"),
            environment=said.options.get("env", ""),
        )
        return OpenForm(_form(call, draft, ask.channel_id, origin_of(ask)))
    with call.write(once=ask.key) as tx:
        incident = lifecycle.declare(tx, call.access, declared, call.now)
        return Answer(view.drawn(tx, call, incident.identifier, notice="You have opened this incident."))


def shortcut(call: Call, ask: Shortcut) -> Outcome:
    """The global shortcut "Declare an incident"."""
    return OpenForm(_form(call, forms.Draft(), None, origin_of(ask)))


def press(call: Call, ask: Press) -> Outcome:
    """`Declare` in Home."""
    return OpenForm(_form(call, forms.Draft(), None, origin(ask)))


def submission(call: Call, ask: Submission) -> Outcome:
    """The form, sent off."""
    severity = ask.chosen("severity") or "open"
    if severity not in forms.SEVERITIES:
        raise BadWords("The severity can be open, warning or critical.")
    said = _Said(title=storable(ask.text("title")).strip(), status=_SEVERITIES.get(severity, Status.OPEN))
    for key, value in (("project", ask.chosen("project")), ("team", ask.chosen("team")), ("env", ask.text("env"))):
        if value and value.strip():
            said.options[key] = storable(value.strip())
    declared = _declaration(call, said, None)
    with call.write(once=ask.key) as tx:
        incident = lifecycle.declare(tx, call.access, declared, call.now)
        message = view.drawn(tx, call, incident.identifier, notice="You have opened this incident.")
        return Done(surface.back(tx, call, ask, ask.origin, message, message))


def suggest_project(call: Call, ask: Suggestion) -> list[dict[str, Any]]:
    """The options of the menu of projects, where there are too many to list."""
    return forms.named_options(_projects_named(call), storable(ask.typed))


def suggest_team(call: Call, ask: Suggestion) -> list[dict[str, Any]]:
    """The options of the menu of teams, where there are too many to list."""
    return forms.named_options(_teams_named(call), storable(ask.typed))


def _declaration(call: Call, said: _Said, channel_id: str | None) -> Declaration:
    team = None
    if "team" in said.options:
        team = search.team_by_slug(call.connection, call.access, said.options["team"])
    return Declaration(
        title=checked_title(said.title),
        status=said.status,
        project_ids=_projects(call, said.options.get("project"), team.id if team else None, channel_id),
        team_id=team.id if team else None,
        environment=said.options.get("env"),
    )


def _form(call: Call, draft: forms.Draft, channel_id: str | None, origin_: str) -> forms.Form:
    projects = _projects_named(call)
    if not projects:
        raise BadWords("You see no project yet, so there is none that an incident could be opened in.")
    if draft.project is None:
        try:
            likely = _projects(call, None, None, channel_id)
        except _WhichProject:
            likely = []
        if len(likely) == 1:
            draft = replace(draft, project=directory.projects(call.connection, likely)[0].slug)
    return forms.declare(draft, projects, _teams_named(call), origin_)


def _projects_named(call: Call) -> list[tuple[str, str]]:
    return [(one.slug, one.name) for one in directory.projects(call.connection, call.access.project_ids)]


def _teams_named(call: Call) -> list[tuple[str, str]]:
    return [(one.slug, one.name) for one in directory.teams(call.connection, call.access.organization_id)]


def _read(line: str) -> _Said:
    """Severity and options stand before the title; options may also stand behind it."""
    said = _Said()
    found = _lenient_tokens(line)
    begin, end = 0, len(found)
    while begin < end and (found[begin].key in _KEYS or _is_severity(found[begin], said)):
        if found[begin].key is None:
            said.status = _SEVERITIES[found[begin].text.lower()]
        else:
            _take_option(said, found[begin])
        begin += 1
    while end > begin and found[end - 1].key in _KEYS:
        end -= 1
        _take_option(said, found[end])
    if begin < end:
        said.title = unquoted(line[found[begin].start : found[end - 1].end])
    return said


def _is_severity(token: Token, said: _Said) -> bool:
    fits = token.key is None and not token.quoted and token.text.lower() in _SEVERITIES
    return fits and said.status is Status.OPEN


def _take_option(said: _Said, token: Token) -> None:
    assert token.key is not None
    if token.key in said.options:
        raise BadWords(f"`{token.key}:` is given twice; once is enough.", FORM)
    if not token.text.strip():
        raise BadWords(f"`{token.key}:` needs a value.", FORM)
    said.options[token.key] = token.text.strip()


def _lenient_tokens(line: str) -> list[Token]:
    # In a title a lone quote is a character like any other.
    try:
        return tokens(line)
    except BadWords:
        return tokens(line.translate({ord(quote): "'" for quote in '"“”„«'}))


def _projects(call: Call, slug: str | None, team_id: int | None, channel_id: str | None) -> Sequence[int]:
    """Which projects a declared incident concerns, where that can be told without asking.

    The one that is named; else those whose channel this is; else those of the team that is named, or of the
    caller's teams, or all they see, if that is one.
    """
    if slug is not None:
        return [search.project_by_slug(call.connection, call.access, slug).id]
    visible = call.access.project_ids
    if not visible:
        raise BadWords("You see no project yet, so there is none that an incident could be opened in.")
    if channel_id:
        here = directory.projects_in_channel(call.connection, visible, channel_id)
        if here:
            return here
    for teams in ([team_id] if team_id else [], call.access.team_ids):
        of_teams = directory.projects_of_teams(call.connection, visible, teams)
        if len(of_teams) == 1:
            return of_teams
    if len(visible) == 1:
        return visible
    slugs = [project.slug for project in directory.projects(call.connection, visible)]
    raise _WhichProject(
        "Which project does it concern? Name it with project:… – you see "
        + ", ".join(slugs[:30])
        + ("…" if len(slugs) > 30 else ".")
    )


HANDLES = (
    Verb(
        name="declare",
        usage=FORM,
        summary="Opens an incident.",
        examples=("declare critical project:checkout Payments fail with 502",),
        group=Group.OPEN,
        synonyms=("create", "new", "start", "raise", "report", "page"),
        command=command,
        buttons={"declare": press},  # Declare, in Home
        lookups={"project": suggest_project, "team": suggest_team},
        forms={"declare": submission},
        shortcuts={"declare_incident": shortcut},  # Declare an incident
    ),
)
