"""`maintenance`: no alert of a team, a project or an environment makes cards until a moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlalchemy import Connection

from bot.handlers import redraw, silence
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import maintenance as rules
from bot.incidents import projects, silences
from bot.incidents.errors import InvalidInput
from bot.incidents.maintenance import BEFORE, USAGE, Maintenance
from bot.incidents.markup import decode_slack_text, require_storable
from bot.messages import answers
from bot.messages import silences as messages
from bot.messages.forms import Form
from bot.messages.help import Group
from bot.slack.requests import Command, Press, Submission
from bot.slack.responses import Answer, Done, OpenForm, Response


def handle_command(context: Context, request: Command, words: str) -> Response:
    """`maintenance team:x|project:x|env:x DURATION|until:… [reason]`; without anything after it, a form."""
    rules.check_may_start(context.access)
    text = decode_slack_text(require_storable(words)).strip()
    if not text:
        if request.in_message:  # no form can be opened from a message
            raise InvalidInput("Say what, and for how long.", f"{BEFORE} 2h")
        return OpenForm(_build_form(context, redraw.origin_of_request(request)))
    wanted = rules.parse_maintenance(text, context.now, context.access.timezone)
    rules.check_may_start(context.access, everything=wanted.matches_everything)
    if wanted.matches_everything:
        value = json.dumps({"until": int(wanted.ends.timestamp()), "reason": wanted.reason}, ensure_ascii=False)
        silences.check_reason(wanted.reason, USAGE)
        return Answer(messages.render_everything(wanted.ends, value))
    with context.write(once=request.key) as tx:
        started = rules.start_maintenance(tx, context.access, wanted, context.now)
    return Answer(answers.render_confirmation(messages.render_started(started)))


def handle_everything(context: Context, request: Press) -> Response:
    """`Silence everything`, confirmed."""
    try:
        asked = json.loads(request.value)
        wanted = Maintenance(datetime.fromtimestamp(int(asked["until"]), UTC), require_storable(str(asked["reason"])))
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        raise InvalidInput("This button is from an older version. Type the command again.", USAGE) from None
    with context.write(once=f"silence everything {context.access.member_id} {asked['until']}") as tx:
        started = rules.start_maintenance(tx, context.access, wanted, context.now)
    return redraw.turn(request, answers.render_confirmation(messages.render_started(started)))


def handle_submission(context: Context, request: Submission) -> Response:
    """The form of `maintenance`, submitted."""
    wanted = Maintenance(
        silence.read_end(context, request, before=BEFORE),
        silence.read_reason(request),
        team=require_storable(request.chosen("team") or "") or None,
        project=require_storable(request.chosen("project") or "") or None,
        environment=" ".join(require_storable(request.text("env")).split()) or None,
    )
    if wanted.matches_everything:
        raise InvalidInput(
            "Choose a project, a team or an environment. To silence everything, type `maintenance 2h`.", field="project"
        )
    with context.write(once=request.key) as tx:
        started = rules.start_maintenance(tx, context.access, wanted, context.now)
        shown = answers.render_confirmation(messages.render_started(started))
        place = redraw.Place.of_origin(request.origin)
        return Done(redraw.redraw_in_place(tx, context, request, place, shown))


def _build_form(context: Context, origin: str) -> Form:
    connection: Connection = context.connection
    visible = [(one.slug, one.name) for one in projects.list_projects(connection, context.access)]
    teams = [(one.slug, one.name) for one in projects.list_teams(connection, context.access)]
    return messages.render_maintenance_form(visible, teams, origin)


HANDLES = (
    Verb(
        name="maintenance",
        usage=USAGE,
        summary="Silences all alerts of a team, a project or an environment: they post no cards until the end. For"
        " admins, managers and owners. `silence list` shows it, and `silence end ID` ends it.",
        examples=["maintenance project:checkout 2h upgrade of the database", "maintenance env:staging until:18:00"],
        group=Group.WORK,
        form=f"{BEFORE} 2h",
        synonyms=("downtime",),
        command=handle_command,
        buttons={"silence_everything": handle_everything},  # Silence everything
        forms={"maintenance": handle_submission},
    ),
)
