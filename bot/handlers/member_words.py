"""Parses what is typed behind `member`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.incidents.errors import InvalidInput
from bot.incidents.filters import MAX_TEAMS
from bot.incidents.markup import decode_slack_text, require_storable
from bot.incidents.members import USER_ID, keep_ids
from bot.incidents.words import Token, find_closest, shorten, split_word, tokenize
from bot.people import membership as rules
from bot.people.membership import FORMS, Action
from storage.values import Role

_NO_TEAM = "none"
# Blanks that people type in `team: payments, search`.
_BLANKS = re.compile(r"(?<=team:)\s+(?=\S)|(?<=teams:)\s+(?=\S)|(?<=,)\s+", re.IGNORECASE)
_LISTING = ("list", "show", "find", "search")
_WHICH_TEAMS = "Say which teams, like `team:payments,search`, or `team:none`."
_SYNONYMS = {
    "invite": Action.ADD,
    "team": Action.TEAMS,
    "delete": Action.REMOVE,
    "kick": Action.REMOVE,
    "promote": Action.ROLE,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change of a member: what is asked for, and what the form or button holds."""

    action: Action
    user_id: str = ""  # of who is to be added
    member_id: int = 0  # of everybody else
    role: Role | None = None
    teams: tuple[str, ...] | None = None  # slugs
    seen: str = ""  # the version of what is to be changed, as it was shown


def split_search(words: str) -> list[str]:
    """The words by which members are searched, without `@`, and without `team:` or `role:`. Raises InvalidInput."""
    return [
        (one.text if one.key in (None, "team", "role") else words[one.start : one.end]).removeprefix("@")
        for one in tokenize(words)
    ]


def parse_change(words: str) -> tuple[Wanted, str]:
    """What is asked for, and the person as typed. Raises InvalidInput."""
    word, rest = split_word(require_storable(decode_slack_text(keep_ids(words))))
    action = _parse_action(word)
    form = FORMS[action]
    tokens = tokenize(_BLANKS.sub("", rest))
    unknown = next((one.key for one in tokens if one.key not in (None, "team", "teams")), None)
    if unknown:
        raise InvalidInput(f"“{shorten(unknown)}:” is unknown here.", form)
    person = [one.text for one in tokens if one.key is None]
    teams = _parse_teams(tokens)
    if action in (Action.ROLE, Action.REMOVE) and teams is not None:
        raise InvalidInput("Teams are changed by `member teams`.", FORMS[Action.TEAMS])
    role = None
    if action in (Action.ADD, Action.ROLE) and len(person) > 1:
        role = rules.parse_role(person.pop(), form)
    if not person:
        raise InvalidInput("Name the person.", form)
    if len(person) > 1 and any(USER_ID.fullmatch(one.removeprefix("@")) for one in person):
        raise InvalidInput("Name one person.", form)
    _check_complete(action, role, teams)
    return Wanted(action, role=role, teams=teams), " ".join(person)


def _parse_teams(tokens: Sequence[Token]) -> tuple[str, ...] | None:
    """The slugs behind `team:`; none of them for `team:none`, and None without `team:`."""
    lists = [one.text.lower().split(",") for one in tokens if one.key]
    if not lists:
        return None
    teams = tuple(dict.fromkeys(slug.strip() for slugs in lists for slug in slugs if slug.strip()))
    if len(teams) > MAX_TEAMS:
        raise InvalidInput(f"Name at most {MAX_TEAMS} teams.", FORMS[Action.TEAMS])
    if not teams:
        raise InvalidInput(_WHICH_TEAMS, FORMS[Action.TEAMS])
    return () if teams == (_NO_TEAM,) else teams


def _check_complete(action: Action, role: Role | None, teams: tuple[str, ...] | None) -> None:
    if action is Action.ROLE and role is None:
        raise InvalidInput("Say which role: `member`, `admin`, `manager` or `owner`.", FORMS[action])
    if action is Action.TEAMS and teams is None:
        raise InvalidInput(_WHICH_TEAMS, FORMS[action])


def _parse_action(word: str) -> Action:
    typed = word.lower()
    if typed in list(Action):
        return Action(typed)
    if typed in _SYNONYMS:
        return _SYNONYMS[typed]
    if not typed:
        raise InvalidInput("Say what to do: `add`, `role`, `teams` or `remove`.", FORMS[Action.ADD])
    if typed in _LISTING:
        raise InvalidInput("`members` lists and finds them.", "members ben")
    meant = find_closest(typed, list(Action))
    sentence = f"“{shorten(word)}” is unknown here. Use `add`, `role`, `teams` or `remove`."
    raise InvalidInput(sentence, FORMS[Action(meant)] if meant else FORMS[Action.ADD])
