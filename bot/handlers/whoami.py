"""`whoami`: whom the bot takes the caller for."""

from __future__ import annotations

from bot.handlers.call import Call
from bot.handlers.verb import Verb
from bot.messages import answers
from bot.messages.help import Group
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Command
from storage.queries import directory


def command(call: Call, ask: Command, _words: str) -> Outcome:
    """`whoami`."""
    teams = directory.team_names_of_member(call.connection, call.access.member_id)
    projects = [project.slug for project in directory.projects(call.connection, call.access.project_ids)]
    return Answer(answers.whoami(call.access, ask.person.user_id, teams, projects))


HANDLES = (
    Verb(
        name="whoami",
        usage="whoami",
        summary="Who I take you for, and what you may see.",
        examples=("whoami",),
        group=Group.CALLER,
        synonyms=("me", "who"),
        command=command,
    ),
)
