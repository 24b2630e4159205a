"""The fields of a form that filter incidents: what their menus offer, and the query that they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.handlers.context import Context
from bot.handlers.verb import Feature
from bot.incidents import filters, projects
from bot.incidents.errors import InvalidInput
from bot.incidents.filters import ListQuery
from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH
from bot.incidents.markup import require_storable
from bot.incidents.members import USER_ID
from bot.incidents.words import shorten, tokenize
from bot.messages import forms
from bot.messages.forms import FilterChoices
from bot.slack.requests import OptionsRequest, Submission

MAX_SUGGESTED = 20  # environments in a menu


def list_choices(context: Context) -> FilterChoices:
    """The projects and teams among which the caller can choose."""
    visible = projects.list_projects(context.connection, context.access)
    return FilterChoices([(one.slug, one.name) for one in visible], _list_teams(context))


def _list_teams(context: Context) -> list[tuple[str, str]]:
    visible = projects.list_visible_teams(context.connection, context.access)
    return [("mine", "My teams"), ("unassigned", "Unassigned"), *((one.slug, one.name) for one in visible)]


def suggest_team(context: Context, request: OptionsRequest) -> Sequence[Mapping[str, Any]]:
    """The options of the menu of teams, where there are too many to list."""
    return forms.filter_options(_list_teams(context), require_storable(request.typed))


def suggest_environment(context: Context, request: OptionsRequest) -> Sequence[Mapping[str, Any]]:
    """The environments of recent incidents; and what was typed, because older ones may have others."""
    typed = _fold(request.typed)[:MAX_ENVIRONMENT_LENGTH]
    found = projects.list_environments(context.connection, context.access, typed, most=MAX_SUGGESTED)
    if typed and typed.lower() not in {one.lower() for one in found}:
        found.append(typed)
    return forms.build_options([(one, one) for one in found])


def suggest_time(context: Context, request: OptionsRequest) -> Sequence[Mapping[str, Any]]:
    """Common times; or the time that was typed."""
    times = filters.suggest_times(_fold(request.typed), context.now, context.access.timezone)
    return forms.build_options([(one, forms.render_time(one)) for one in times])


def read_query(request: Submission) -> ListQuery:
    """The query that the fields hold. Raises InvalidInput, which names the field where it knows it."""
    only = request.checked("only")
    parts = [request.chosen("show") or "open"]
    options = {
        "project": request.chosen("project"),
        "team": ",".join(request.checked("team")),
        "env": request.chosen("env"),
        "owner": request.chosen("owner"),
        **{key: _read_time(request, key) for key in ("since", "until")},
    }
    parts += [f'{key}:"{folded}"' for key, value in options.items() if (folded := _fold(value or ""))]
    parts += ["seen:no"] if "unseen" in only else []
    parts += ["following:yes"] if "following" in only else []
    parts += ["silenced:yes"] if "silenced" in only else []
    query = filters.parse_query(" ".join(parts))
    return filters.with_words(query, _read_words(require_storable(request.text("words"))))


def look_up_owner(context: Context, query: ListQuery) -> None:
    """Asks Slack who is mentioned as the owner. Raises InvalidInput, SlackAway.

    The query is resolved with what is stored, where somebody who has never used the bot is not known yet.
    """
    user_id = (query.owner or "").removeprefix("@")
    if USER_ID.fullmatch(user_id):
        member_id, name = context.find_mentioned(user_id)
        if member_id is None:
            raise InvalidInput(f"{shorten(name)} is not a member of your organization.", "list owner:me", field="owner")


def _read_words(line: str) -> list[str]:
    """The words to search for. Here `status:500` is a word like any other."""
    try:
        return [token.text if token.key is None else line[token.start : token.end] for token in tokenize(line)]
    except InvalidInput as mistake:
        raise InvalidInput(mistake.sentence, mistake.form, field="words") from None


def _read_time(request: Submission, key: str) -> str | None:
    time, day = request.chosen(key), request.date(f"{key}_date")
    if time and day:
        raise InvalidInput("Choose a time or a date, not both.", field=f"{key}_date")
    return time or day


def _fold(text: str) -> str:
    """The text as the value of a filter in quotes."""
    return " ".join(require_storable(text).split()).replace('"', "")


HANDLES = (
    Feature(
        lookups={
            "teams": suggest_team,
            "env": suggest_environment,
            "since": suggest_time,
            "until": suggest_time,
        },
    ),
)
