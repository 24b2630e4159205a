"""`help`, and the answer to an unknown command."""

from __future__ import annotations

from bot.handlers.verb import Registry
from bot.incidents.errors import BadWords
from bot.incidents.markup import readable
from bot.incidents.words import shorten, split_first_word
from bot.messages import help as messages
from bot.slack.responses import Answer, Response


def handle_help(registry: Registry, words: str, command: str) -> Response:
    """`help [command]`. Raises BadWords for an unknown command."""
    name, _ = split_first_word(words)
    if not name or name == "help":
        return Answer(messages.render_overview(registry.verbs, command))
    if name not in registry.commands:
        raise unknown_command(registry, name, "help [command]")
    return Answer(messages.render_topic(registry.commands[name], command))


def unknown_command(registry: Registry, word: str, form: str | None = None) -> BadWords:
    """The error for an unknown command. `form` is the right usage; None: that of the closest command."""
    meant = registry.suggest(word)
    hint = f"Did you mean “{meant}”?" if meant else f"There are {', '.join(verb.name for verb in registry.verbs)}."
    likely = registry.commands[meant].usage if meant else "help"
    return BadWords(f"There is no command “{shorten(readable(word))}”. {hint}", form or likely)
