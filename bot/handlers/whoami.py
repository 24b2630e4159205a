"""`whoami`: which member the caller is, and what they may see."""

from __future__ import annotations

from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import projects
from bot.messages import answers
from bot.messages.help import Group
from bot.slack.requests import Command
from bot.slack.responses import Answer, Response


def handle_command(context: Context, request: Command, _words: str) -> Response:
    """`whoami`."""
    teams = projects.own_team_names(context.connection, context.access)
    names = [project.name for project in projects.list_projects(context.connection, context.access)]
    return Answer(answers.render_whoami(context.access, request.person.user_id, teams, names))


HANDLES = (
    Verb(
        name="whoami",
        usage="whoami",
        summary="Shows your name, role, teams and projects.",
        examples=("whoami",),
        group=Group.CALLER,
        synonyms=("me", "who"),
        phrases=("who am i", "whoami please", "me"),
        command=handle_command,
    ),
)
