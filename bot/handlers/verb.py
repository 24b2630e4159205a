"""What a module of handlers declares: a command with its texts, and the handlers of its buttons, forms and menus.

A module lists its values in `HANDLES`. The router collects them from all modules of this package (`Registry.collect`),
which raises an error where two modules declare the same word or id.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any, Self, TypeVar

import bot.handlers
from bot.handlers.context import Context, Services
from bot.handlers.incident_menu import suggest_incidents
from bot.incidents.words import find_closest, is_typo
from bot.messages.help import Group, Topic
from bot.messages.incident_menu import PICK, Pick
from bot.slack.requests import Command, Event, OptionsRequest, Press, Shortcut, Submission
from bot.slack.responses import Response
from storage.prefetch import Prefetch

CommandHandler = Callable[[Context, Command, str], Response]
PressHandler = Callable[[Context, Press], Response]
FormHandler = Callable[[Context, Submission], Response]
ShortcutHandler = Callable[[Context, Shortcut], Response]
Lookup = Callable[[Context, OptionsRequest], Sequence[Mapping[str, Any]]]
EventHandler = Callable[[Services, Event, datetime], Response]

T = TypeVar("T")

_READING = frozenset({Group.FIND, Group.READ, Group.CALLER})  # their commands change nothing


@dataclass(frozen=True, kw_only=True)
class Feature:
    """Handlers for requests of Slack, by the id of the button, menu, form, shortcut or event."""

    buttons: Mapping[str, PressHandler] = field(default_factory=dict)  # and entries of menus; by action_id
    lookups: Mapping[str, Lookup] = field(default_factory=dict)  # menus that ask for their options; by action_id
    forms: Mapping[str, FormHandler] = field(default_factory=dict)  # by callback_id
    shortcuts: Mapping[str, ShortcutHandler] = field(default_factory=dict)  # by callback_id, as the manifest has it
    events: Mapping[str, EventHandler] = field(default_factory=dict)  # by the event's type


@dataclass(frozen=True, kw_only=True)
class Verb(Topic, Feature):
    """A command with its help texts, and the buttons, forms and menus that belong to it."""

    command: CommandHandler
    # The read to be made together with finding the caller, for the words of the command; None where there is none.
    # Raises InvalidInput.
    prefetch: Callable[[str], Prefetch | None] | None = None
    # The menu of incidents that is shown where the number is missing. A choice is handled like a press of its button.
    pick: Pick | None = None


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that the modules declare, by word or id."""

    verbs: Sequence[Verb]  # in the order of `help`
    commands: Mapping[str, Verb]  # by name and alias
    phrases: Mapping[str, Verb]  # by whole messages
    rewordings: Mapping[str, tuple[str, str]]  # the name of a command and its first words, by what people type for them
    buttons: Mapping[str, PressHandler]
    lookups: Mapping[str, Lookup]
    forms: Mapping[str, FormHandler]
    shortcuts: Mapping[str, ShortcutHandler]
    events: Mapping[str, EventHandler]

    @classmethod
    def collect(cls) -> Self:
        """The declarations of all modules of this package. Raises ValueError for a name that two of them declare."""
        modules = [import_module(f"{bot.handlers.__name__}.{one.name}") for one in _modules()]
        return cls.of([one for module in modules for one in getattr(module, "HANDLES", ())])

    @classmethod
    def of(cls, features: Sequence[Feature]) -> Self:
        """A registry of these declarations. Raises ValueError for a name that two of them declare."""
        verbs = sorted((one for one in features if isinstance(one, Verb)), key=lambda verb: verb.group)
        picks = {PICK + verb.pick.action_id: verb.buttons[verb.pick.action_id] for verb in verbs if verb.pick}
        return cls(
            verbs=verbs,
            commands=_merged({name: verb} for verb in verbs for name in (verb.name, *verb.aliases)),
            phrases=_merged({phrase: verb} for verb in verbs for phrase in verb.phrases),
            rewordings=_merged({typed: (verb.name, form)} for verb in verbs for typed, form in verb.rewordings.items()),
            buttons=_merged([*(one.buttons for one in features), picks]),
            lookups=_merged([*(one.lookups for one in features), dict.fromkeys(picks, suggest_incidents)]),
            forms=_merged(one.forms for one in features),
            shortcuts=_merged(one.shortcuts for one in features),
            events=_merged(one.events for one in features),
        )

    def find_named(self, word: str) -> Verb | None:
        """The command of this name, or of another tool's name for it."""
        return self.commands.get(word) or next((verb for verb in self.verbs if word in verb.synonyms), None)

    def suggest(self, word: str) -> str | None:
        """The command that was probably meant by an unknown word; None where no command is close.

        A command that may change something is meant only where the word has no more than a typo.
        """
        named = self.find_named(word)
        if named is not None:
            return named.name
        closest = find_closest(word, self.commands, likeness=0.65) if len(word) > 2 else None  # "is" is not `list`
        if closest is None or (self.commands[closest].group not in _READING and not is_typo(word, closest)):
            return None
        return closest


def _modules() -> Iterable[pkgutil.ModuleInfo]:
    return pkgutil.iter_modules(bot.handlers.__path__)


def _merged(parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    found: dict[str, T] = {}
    for part in parts:
        for name, value in part.items():
            if name in found:
                raise ValueError(f"two modules of {bot.handlers.__name__} claim “{name}”")
            found[name] = value
    return found
