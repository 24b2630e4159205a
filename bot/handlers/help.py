"""`help`: the most important commands, all of them, or one."""

from __future__ import annotations

from bot.handlers import unknown
from bot.handlers.context import Context
from bot.handlers.verb import Feature, Registry
from bot.incidents.words import split_word
from bot.messages import forms
from bot.messages import help as messages
from bot.slack.requests import Press
from bot.slack.responses import Answer, OpenForm, Response

_WITHOUT_MEANING = frozenset({"", "help", "me", "please"})


def handle_help(registry: Registry, words: str, command: str) -> Response:
    """`help [command]`. Raises UnknownCommand."""
    typed = split_word(words)[0].strip("!?.,")
    name = typed.lower()
    if name in _WITHOUT_MEANING and name not in registry.commands:
        return Answer(messages.render_overview(registry.verbs, command))
    if name not in registry.commands:
        raise unknown.explain_topic(registry, typed)
    return Answer(messages.render_topic(registry.commands[name], command))


def show_all(context: Context, _request: Press) -> Response:
    """`All commands`: in a form, because the list is long."""
    commands = messages.render_all_commands(Registry.collect().verbs, context.services.command)
    return OpenForm(forms.render_window(commands, title="All commands"))


HANDLES = (
    Feature(buttons={"help_all": show_all}),  # All commands
)
