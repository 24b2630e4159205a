"""`calls`: who is called for the incidents of a team, and the form that changes it."""

from __future__ import annotations

from bot.handlers import redraw
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import team_calls
from bot.incidents.call_rules import RULES
from bot.incidents.errors import Refusal
from bot.incidents.markup import require_storable
from bot.incidents.words import unquote
from bot.messages import team_calls as messages
from bot.messages.help import Group
from bot.slack.requests import Command, Origin, Press, Submission
from bot.slack.responses import Answer, Done, OpenForm, Response, UpdateForm

_CONFIRMED = "e"  # in the private metadata of the form that asks once more


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`calls [team:x]`."""
    typed = words.strip()
    team = unquote(typed[len("team:") :].strip() if typed.lower().startswith("team:") else typed)
    found = team_calls.list_team_calls(context.connection, context.access, team or None)
    return Answer(messages.render_team_calls(found, may_change=team_calls.may_change(context.access)))


def handle_edit_press(context: Context, request: Press) -> Response:
    """`Edit`: the form with the rules of a team."""
    team = team_calls.get_team_calls(context.connection, context.access, _parse_id(request.value))
    where = redraw.describe_window(request)
    origin = Origin(t=team.id, v=team_calls.build_version(team), r=request.response_url, **where)
    return OpenForm(messages.render_form(team, origin.to_metadata()))


def handle_submission(context: Context, request: Submission) -> Response:
    """The form, submitted."""
    text = require_storable(request.text(RULES))
    team_id, version = _parse_id(request.origin.get("t")), str(request.origin.get("v"))
    if not text.strip() and not request.origin.get(_CONFIRMED):
        ending = team_calls.get_team_calls(context.connection, context.access, team_id)
        if ending.rules:
            confirmed = Origin({**request.origin, _CONFIRMED: 1})
            return UpdateForm(messages.render_end_form(ending, confirmed.to_metadata()))
    with context.write(once=request.key) as tx:
        team = team_calls.change_rules(tx, context.access, team_id, text, version, context.now)
        shown = messages.render_changed(team)
        if request.origin.get("s") == "modal":
            place = redraw.Place.of_origin(request.origin)
            return Done(redraw.redraw_in_place(tx, context, request, place, shown))
    to = request.origin.get("r")
    return Done(Answer(shown, to=str(to)) if to else None)


def _parse_id(value: object) -> int:
    digits = str(value)
    if not (digits.isascii() and digits.isdigit()):
        raise Refusal("This team no longer exists.")
    return min(int(digits[:20]), 2**63 - 1)


HANDLES = (
    Verb(
        name="calls",
        usage=team_calls.USAGE,
        summary="Shows who is called for new incidents of your teams, or of the team that you name, and when. Managers"
        " and owners can change it there.",
        examples=("calls", "calls team:payments"),
        group=Group.READ,
        synonyms=("call", "escalation", "escalations", "policy"),
        phrases=("who is called", "who gets called"),
        command=handle_command,
        buttons={"calls_edit": handle_edit_press},  # Edit
        forms={"calls": handle_submission},
    ),
)
