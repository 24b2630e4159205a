"""Finds the command in what somebody typed, and explains where there is none: what they probably meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.handlers import card_links
from bot.handlers.verb import Registry, Verb
from bot.incidents.errors import InvalidInput
from bot.incidents.markup import decode_slack_text
from bot.incidents.severities import SEVERITIES
from bot.incidents.words import (
    MAX_REPEATED,
    MAX_WORDS_SEARCHED,
    NUMBER,
    build_line,
    find_closest,
    shorten,
    split_first_word,
    split_word,
)
from bot.messages import incident_menu
from bot.messages.blocks import Element

_PUNCTUATION = "!?.,;:…'\"’“”()"
_BLANKS = str.maketrans(_PUNCTUATION, " " * len(_PUNCTUATION))
_JOINED = re.compile(r"([a-z]{2,20})#?([0-9]{1,9})", re.IGNORECASE)  # ack12
_HELP = frozenset({"--help", "-h", "?"})  # behind a command
# Before a command or its words, these say nothing.
_POLITE = frozenset({"please", "pls", "plz", "tocsin", "hey", "@tocsin"})
_NOUNS = frozenset({"incident", "issue", "alert", "number"})
# By themselves, words of `list`.
_LISTS = frozenset({"all", "closed", "critical", "warning", "mine", "unowned"})
# What is on Home, and has no command.
_ADMINISTERED = frozenset({"token", "tokens", "team", "teams", "project", "projects"})
_PERSON = " @person"  # in the usage of a command
_BEFORE_PERSON = re.compile(r"(?:(?:over|off|to)(?:\s+|$))*@?", re.IGNORECASE)  # "assign 12 to ben"
_LEAST_LENGTH = 4  # letters of another tool's name for a command, in the middle of a sentence
_LEAST_WORDS = 3  # words of a message that may be the title of an incident


class UnknownCommand(InvalidInput):
    """What somebody typed is no command. `button` does what they probably meant."""

    def __init__(
        self, sentence: str, form: str | None, *, button: Element | None = None, is_guess: bool = False
    ) -> None:
        super().__init__(sentence, form, is_guess=is_guess)
        self.button = button


@dataclass(frozen=True, slots=True)
class _Meant:
    """The command that was probably meant."""

    verb: Verb
    index: int  # of its word
    number: int | None  # of the incident
    rest: str  # the words that follow


def find_command(registry: Registry, text: str, command: str) -> tuple[str, str]:
    """The command in a line and the words that follow it; where there is none, the first word and the others.

    `command` is the slash command, which people also type in messages to the bot. A number alone is `view`, and nothing
    but punctuation is `help`.
    """
    asked = registry.phrases.get(_fold(text))
    if asked is not None:
        return asked.name, ""
    first, words = split_word(text)
    if card_links.is_link(first):
        return "view", text
    verb = first.lower()
    while words and verb.strip(_PUNCTUATION) in {command, command.removeprefix("/"), *_POLITE}:
        verb, words = split_first_word(words)
    bare = decode_slack_text(verb).strip(_PUNCTUATION)
    if not words and bare.lower() in _LISTS and "list" in registry.commands:
        return "list", bare.lower()
    if reworded := _reword(registry, bare, words):
        return reworded
    joined = _JOINED.fullmatch(bare)
    if joined and joined[1] in registry.commands and registry.commands[joined[1]].takes_number:
        verb, words = joined[1], f"{joined[2]} {words}".strip()
    elif bare in registry.commands or bare == "help":
        verb = bare
    elif verb and not bare:
        return "help", ""
    if verb in registry.commands:
        return ("help", verb) if words.lower() in _HELP else (verb, _without_noun(words))
    if _are_numbers([bare, *decode_slack_text(words).split()]):
        return "view", f"{bare} {words}".strip()
    return verb, words


def _are_numbers(words: Sequence[str]) -> bool:
    return all(NUMBER.fullmatch(word.strip(_PUNCTUATION)) for word in words)


def _reword(registry: Registry, word: str, words: str) -> tuple[str, str] | None:
    """The command and its words, where the first one to three words are another way to say it.

    The number of an incident may stand behind the first one: `assign 12 to me` is `assign to me 12`.
    """
    number, behind = split_first_word(words)
    if not NUMBER.fullmatch(decode_slack_text(number).strip(_PUNCTUATION)):
        number, behind = "", words
    second, after_second = split_first_word(behind)
    third, after_third = split_first_word(after_second)
    for parts, rest in (((word, second, third), after_third), ((word, second), after_second), ((word,), behind)):
        typed = " ".join(part.strip(_PUNCTUATION) for part in parts if part).lower()
        if typed not in registry.rewordings:
            continue
        name, form = registry.rewordings[typed]
        said = " ".join(part for part in (form, number, rest) if part)
        if word.lower() in registry.commands or not rest or not registry.commands[name].takes_number:
            return name, said
        if any(NUMBER.fullmatch(one.strip(_PUNCTUATION)) for one in decode_slack_text(said).split()):
            return name, said
        # `give me 12` takes the incident; `give me the list` asks for something else.
    return None


def _without_noun(words: str) -> str:
    """The words behind a command, without "incident" before a number."""
    noun, rest = split_first_word(words)
    number, _ = split_first_word(decode_slack_text(rest))
    return rest if noun in _NOUNS and NUMBER.fullmatch(number.strip(_PUNCTUATION)) else words


def explain(registry: Registry, text: str, command: str) -> UnknownCommand:
    """The error for a line without a command: it names the closest one, and the line as it should be."""
    words = decode_slack_text(text).split()
    if words[0].strip(_PUNCTUATION).lower() in _ADMINISTERED:
        return UnknownCommand(
            f"There is no command “{shorten(words[0])}”. Managers and owners see teams, projects and tokens on Home."
            " Teams and projects are changed in the organization file; tokens are made on the command line.",
            None,
        )
    meant = _find_meant(registry, words)
    if meant is None:
        return _explain_nothing(words, command)
    if meant.index == 0:
        sentence = f"There is no command “{shorten(words[0])}”."
    elif NUMBER.fullmatch(words[0].strip(_PUNCTUATION)) and meant.index == 1:
        sentence = "The command comes before the number."
    else:
        sentence = "I did not understand that."
    pick = meant.verb.pick
    button = incident_menu.build_pick_button(pick, meant.number) if pick and meant.number is not None else None
    return UnknownCommand(sentence, _correct(meant), button=button, is_guess=True)


def correct_word(typed: str | None, mistake: InvalidInput) -> str | None:
    """The line as typed, with the word that was probably meant; None where it cannot be known or is too long."""
    if not (typed and mistake.wrong and mistake.meant):
        return None
    line = " ".join(decode_slack_text(typed).split())
    if len(line) > MAX_REPEATED or "`" in line:
        return None
    before, *behind = re.split(rf"(?<!\w){re.escape(mistake.wrong)}", line, flags=re.IGNORECASE)
    return f"{before}{mistake.meant}{behind[0]}" if len(behind) == 1 else None


def explain_topic(registry: Registry, word: str) -> UnknownCommand:
    """The error for `help` with a word that is no command."""
    meant = registry.suggest(word.lower())
    sentence = f"There is no command “{shorten(decode_slack_text(word))}”."
    if meant:
        return UnknownCommand(sentence, f"help {meant}", is_guess=True)
    return UnknownCommand(f"{sentence} `help` shows all commands.", "help [command]")


def _find_meant(registry: Registry, words: Sequence[str]) -> _Meant | None:
    bare = [word.strip(_PUNCTUATION).lower() for word in words[:MAX_WORDS_SEARCHED]]
    number = next((int(word.removeprefix("#")) for word in bare if NUMBER.fullmatch(word)), None)
    number_first = bool(NUMBER.fullmatch(bare[0]))
    found = []
    for index, word in enumerate(bare):
        verb = _find_verb(registry, word, first=index == 0, with_number=number is not None)
        if verb is not None:
            # What stands behind a command in the middle of a sentence need not belong to it.
            near = index == 0 or (index == 1 and number_first)
            rest = words[index + 1 :] if near else []
            if verb.takes_number:
                value = [word] if word in SEVERITIES else []  # "1 critical" is `severity 1 critical`
                rest = [*value, *(other for other in rest if not _is_number(other, number))]
            found.append(_Meant(verb, index, number, " ".join(rest)))
    fitting = next((one for one in found if one.verb.takes_number is (number is not None)), None)
    if fitting is not None:
        return fitting
    if found and (number is None or (found[0].index == 0 and bare[0] not in found[0].verb.synonyms)):
        return found[0]
    return _find_meant_by_number(registry, words, number, number_first=number_first)


def _find_meant_by_number(
    registry: Registry, words: Sequence[str], number: int | None, *, number_first: bool
) -> _Meant | None:
    """What was meant with the number of an incident, where no word is like a command."""
    if number is None or not {"view", "comment"} <= registry.commands.keys():
        return None
    if number_first:
        return _Meant(registry.commands["comment"], 1, number, " ".join(words[1:]))
    return _Meant(registry.commands["view"], len(words), number, "")


def _find_verb(registry: Registry, word: str, *, first: bool, with_number: bool) -> Verb | None:
    """The command that a word means. Behind the first word, ordinary words must not look like commands ("me")."""
    if first:
        return registry.find_named(registry.suggest(word) or "")
    if word in registry.commands or with_number or len(word) >= _LEAST_LENGTH:
        return registry.find_named(word)
    return None


def _is_number(word: str, number: int | None) -> bool:
    found = NUMBER.fullmatch(word.strip(_PUNCTUATION))
    return found is not None and int(found[1]) == number


def _correct(meant: _Meant) -> str:
    """The line that was probably meant, or the usage where it cannot be known."""
    verb = meant.verb
    rest = meant.rest if len(meant.rest) <= MAX_REPEATED and "`" not in meant.rest else ""
    if not verb.takes_number:
        takes_words = len(verb.usage.split()) > 1
        first, others = split_first_word(rest)
        return f"{verb.name} {others if first in _NOUNS else rest}".strip() if takes_words else verb.name
    usage = verb.form or verb.usage
    if meant.number is None:
        return usage
    if _PERSON in usage:
        rest = _BEFORE_PERSON.sub("", rest, count=1)
        if not rest:
            return usage.replace("N", str(meant.number), 1)
        rest = f"@{rest}"
    takes_more = len(usage.split()) > 2
    if verb.values:
        typed, others = split_first_word(rest)
        value = typed if typed in verb.values else find_closest(typed, verb.values)
        if value is None:
            return usage.replace("N", str(meant.number), 1)
        rest = f"{value} {others}"
    return build_line(verb.name, meant.number, rest if takes_more else "")


def _explain_nothing(words: Sequence[str], command: str) -> UnknownCommand:
    line = " ".join(words)
    if len(words) < _LEAST_WORDS or len(line) > MAX_REPEATED or "`" in line:
        return UnknownCommand(f"There is no command “{shorten(words[0])}”. `{command} help` shows what I can do.", None)
    return UnknownCommand(
        f"I did not understand that. `{command} help` shows what I can do; `declare` opens an incident.",
        f"declare {line}",
    )


def _fold(text: str) -> str:
    """A line without capitals, punctuation and superfluous blanks."""
    plain = decode_slack_text(text[:100]).lower().replace("'", "").replace("’", "")
    return " ".join(plain.translate(_BLANKS).split())
