"""`help` and `whoami`: what can be done, and as whom."""

from __future__ import annotations

from collections.abc import Iterable

from bot.handlers.call import Call
from bot.incidents.errors import BadWords
from bot.incidents.words import closest, first_word, shortened
from bot.messages import answers
from bot.messages import help as messages
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Command
from storage.queries import directory

ALIASES = {"acknowledge": "ack", "seen": "ack"}
# What other tools and tired people call it: not understood, but answered with the word that is.
_ELSEWHERE = {
    "resolve": ("close", "closed", "done", "fix", "fixed", "end", "resolved"),
    "view": ("show", "info", "details", "get"),
    "list": ("ls", "mine", "incidents", "status", "open", "search", "find"),
    "declare": ("create", "new", "start", "raise", "report", "page"),
    "comment": ("note", "say", "reply", "update"),
    "activity": ("log", "history", "timeline"),
    "subscribe": ("follow", "watch"),
    "unsubscribe": ("unfollow", "unwatch", "mute"),
    "severity": ("sev", "priority", "escalate"),
    "digest": ("schedule", "summary"),
    "whoami": ("me", "who"),
}
_MEANT = {word: verb for verb, words in _ELSEWHERE.items() for word in words}


def meant(word: str, known: Iterable[str]) -> str | None:
    """The command that somebody probably meant."""
    return _MEANT.get(word) or closest(word, known)


def say(words: str, command: str) -> Outcome:
    """`help [command]`, for anybody. Raises BadWords for a command that there is not."""
    name, _ = first_word(words)
    name = ALIASES.get(name, name)
    if not name or name == "help":
        return Answer(messages.overview(command))
    if name not in messages.TOPICS:
        likely = meant(name, messages.TOPICS)
        hint = f"Did you mean “{likely}”?" if likely else "There are " + ", ".join(messages.TOPICS) + "."
        raise BadWords(f"There is no command “{shortened(name)}”. {hint}", "help [command]")
    return Answer(messages.of_command(name, command))


def whoami(call: Call, ask: Command, _words: str) -> Outcome:
    """`whoami`."""
    teams = directory.team_names_of_member(call.connection, call.access.member_id)
    projects = [project.slug for project in directory.projects(call.connection, call.access.project_ids)]
    return Answer(answers.whoami(call.access, ask.person.user_id, teams, projects))
