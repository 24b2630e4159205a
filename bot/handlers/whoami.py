"""`whoami`: whom the bot takes the caller for."""

from __future__ import annotations

from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.messages import answers
from bot.messages.help import Group
from bot.slack.requests import Command
from bot.slack.responses import Answer, Response
from storage.queries import directory


def handle_command(context: Context, request: Command, _words: str) -> Response:
    """`whoami`."""
    teams = directory.list_team_names_of_member(context.connection, context.access.member_id)
    projects = [project.slug for project in directory.list_projects(context.connection, context.access.project_ids)]
    return Answer(answers.render_whoami(context.access, request.person.user_id, teams, projects))


HANDLES = (
    Verb(
        name="whoami",
        usage="whoami",
        summary="Who I take you for, and what you may see.",
        examples=("whoami",),
        group=Group.CALLER,
        synonyms=("me", "who"),
        command=handle_command,
    ),
)
