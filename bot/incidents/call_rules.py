"""The rules that say who is called for the incidents of a team: how they are written, and what is wrong with them.

The organization file and the form of `calls` have the same checks. Those of one value raise ValueError with the end of
a sentence, which begins with the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from itertools import takewhile
from typing import TypeVar

from bot.incidents.durations import format_duration, parse_duration
from bot.incidents.words import find_closest, shorten
from storage.call_rows import MANAGERS, ON_CALL, TEAM, CallRule
from storage.values import Status

T = TypeVar("T")

_SEVERITIES = {"critical": Status.CRITICAL, "warning": Status.WARNING, "none": Status.OPEN, "open": Status.OPEN}
SEVERITY_WORDS = {Status.CRITICAL: "critical", Status.WARNING: "warning", Status.OPEN: "none"}
MAX_AFTER_S = 30 * 86400
MIN_REPEAT_S = 60
MAX_LENGTH = 3000  # of the rules of a team, in words: as much as a field of a form takes
RULES = "rules"  # the field of the form
_QUIET = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})")
# What can follow the severity and who is called, each with an example.
_OPTIONS = {"after": "after 15m", "repeat": "repeat 15m", "quiet": "quiet 22:00-07:00", "until": "until acknowledged"}


# --- one value ---------------------------------------------------------------------------------------------


def parse_severity(word: str) -> Status:
    """The severity of this name. Raises ValueError."""
    found = _SEVERITIES.get(word.lower())
    if found is None:
        raise ValueError("should be critical, warning or none")
    return found


def parse_after(word: str) -> int:
    """How many seconds after the incident began. Raises ValueError."""
    return check_after(parse_duration(word))


def check_after(seconds: int) -> int:
    """The seconds, if they are not too many. Raises ValueError."""
    if seconds > MAX_AFTER_S:
        raise ValueError("should be at most 30d")
    return seconds


def check_repeat(seconds: int) -> int:
    """The seconds, if a call may be repeated after so many. Raises ValueError."""
    if check_after(seconds) < MIN_REPEAT_S:
        raise ValueError("repeats faster than once a minute; it should be 1m or more")
    return seconds


def check_who(word: str) -> str:
    """Who is called, in lower case. Raises ValueError."""
    if word.lower() in (ON_CALL, TEAM, MANAGERS) or "@" in word:
        return word.lower()
    raise ValueError("should be oncall, team, managers or the e-mail address of a member")


def check_quiet(words: str) -> str:
    """Hours of the day in which nobody is called: `22:00-07:00`. Raises ValueError."""
    found = _QUIET.fullmatch(words.strip())
    try:
        begin, end = (time(int(found[n]), int(found[n + 1])) for n in (1, 3)) if found else (None, None)
    except ValueError:
        begin = end = None
    if begin is None or end is None:
        raise ValueError("should be two times of the day, like 22:00-07:00")
    if begin == end:
        raise ValueError("covers the whole day, so this could call nobody")
    return f"{begin:%H:%M}-{end:%H:%M}"


def check_until(word: str) -> str:
    """What ends the calls: an owner, or an acknowledgement. Raises ValueError."""
    if word not in ("owned", "acknowledged"):
        raise ValueError("should be owned or acknowledged")
    return word


# --- rules in words ----------------------------------------------------------------------------------------


def format_rule(rule: CallRule) -> str:
    """A rule in words, as `parse_rules` reads it."""
    parts = [SEVERITY_WORDS[rule.severity], rule.who, "after", format_duration(rule.after_s)]
    parts += ["repeat", format_duration(rule.repeat_s)] if rule.repeat_s else []
    parts += ["quiet", rule.quiet] if rule.quiet else []
    parts += ["until acknowledged"] if rule.until_acknowledged else []
    return " ".join(parts)


def format_rules(rules: Sequence[CallRule]) -> str:
    """The rules in words, one in each line."""
    return "\n".join(map(format_rule, rules))


def parse_rules(text: str) -> dict[int, CallRule]:
    """The rules of a text with one rule in each line, by the number of the line.

    Raises ValueError with a sentence that names the first line that is wrong.
    """
    rules: dict[int, CallRule] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                rules[number] = _parse_rule(line.lower().split())
            except ValueError as mistake:
                end = "" if str(mistake).endswith("?") else "."
                raise ValueError(f"Line {number}: {mistake}{end}") from None
    return rules


def _parse_rule(words: list[str]) -> CallRule:
    front = list(takewhile(lambda word: word not in _OPTIONS, words))
    if len(front) < 2:
        raise ValueError("a rule begins with a severity and who is called, like critical oncall after 0m")
    severity, who = _read(front[0], front[0], parse_severity), _read(front[1], front[1], check_who)
    if len(front) > 2:
        meant = find_closest(front[2], _OPTIONS)
        known = f"did you mean “{meant}”?" if meant else "a rule goes on with after, repeat, quiet or until"
        raise ValueError(f"“{shorten(front[2])}” cannot follow “{shorten(who)}”; {known}")
    options = _split_options(words[2:])

    def read(option: str, reader: Callable[[str], T]) -> T | None:
        return _read(f"{option} {options[option]}", options[option], reader) if option in options else None

    return CallRule(
        severity,
        who,
        after_s=read("after", parse_after) or 0,
        repeat_s=read("repeat", lambda word: check_repeat(parse_duration(word))),
        quiet=read("quiet", check_quiet),
        until_acknowledged=read("until", check_until) == "acknowledged",
    )


def _split_options(words: list[str]) -> dict[str, str]:
    """The words after each option. Raises ValueError."""
    options: dict[str, list[str]] = {}
    for word in words:
        if word in options:
            raise ValueError(f"“{word}” can be given only once")
        if word in _OPTIONS:
            values = options[word] = []
        else:
            values.append(word)
    for option, found in options.items():
        if not found:
            raise ValueError(f"“{option}” needs a value, like {_OPTIONS[option]}")
    return {option: " ".join(found) for option, found in options.items()}


def _read(typed: str, value: str, reader: Callable[[str], T]) -> T:
    try:
        return reader(value)
    except ValueError as mistake:
        raise ValueError(f"“{shorten(typed)}” {mistake}") from None


# --- who is called -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom the rules of a team can call. People are e-mail addresses in lower case."""

    has_oncall_usergroup: bool
    is_synced: bool  # Slack knows who is in the team
    everybody_sees: bool  # all members of the organization see its incidents
    people: Collection[str]
    members: Sequence[str]  # of the team
    managers: Sequence[str]  # managers and owners of the organization
    superusers: Collection[str]

    def find_targets(self, who: str) -> tuple[Sequence[str], str | None]:
        """Who a rule calls, and why they cannot be called; None if they can."""
        if who == ON_CALL:
            missing = not self.has_oncall_usergroup
            return [ON_CALL], "cannot be called: the team has no oncall_usergroup" if missing else None
        if who == TEAM:
            empty = not self.members and not self.is_synced
            return self.members, "cannot be called: no member is in this team" if empty else None
        if who == MANAGERS:
            return self.managers, None if self.managers else "cannot be called: no member is a manager or an owner"
        if who not in self.people:
            return [], f"cannot be called: there is no member {who}"
        sees = self.everybody_sees or self.is_synced or who in {*self.managers, *self.members, *self.superusers}
        return [who], None if sees else f"cannot be called: {who} is not in this team, so cannot see its incidents"


class Steps:
    """The steps of a team's rules, to find somebody who would be called twice in one."""

    def __init__(self) -> None:
        self._called: dict[tuple[Status, int], dict[str, int]] = {}  # people, each with the line of the rule

    def add(self, line: int, severity: Status, after_s: int, targets: Sequence[str]) -> str | None:
        """Adds whom the rule of this line calls. Returns what is wrong with it, if another one calls them too."""
        others = self._called.setdefault((severity, after_s), {})
        twice = next((one for one in targets if one in others), None)
        problem = None
        if twice is not None:
            whom = "who is on call" if twice == ON_CALL else twice
            problem = f"calls {whom} twice in one step; the rule on line {others[twice]} calls them at the same time"
        for one in targets:
            others.setdefault(one, line)
        return problem


def check_rules(rules: Mapping[int, CallRule], reach: Reach) -> None:
    """Checks rules, by the number of their line. Raises ValueError with a sentence that names the line."""
    steps = Steps()
    for line, rule in rules.items():
        targets, problem = reach.find_targets(rule.who)
        problem = problem or steps.add(line, rule.severity, rule.after_s, targets)
        if problem:
            raise ValueError(f"Line {line}: “{shorten(rule.who)}” {problem}.")
