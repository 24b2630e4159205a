"""The calls of a team in the organization file: who is called for an incident, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from bot.incidents import call_rules
from bot.incidents.call_rules import Reach
from bot.incidents.durations import parse_duration
from bot.organization.tree import Mistake, Path, Tree, format_path
from storage.call_rows import CallRule
from storage.values import Role, Status


def _parse_severity(value: Any) -> Status:
    return call_rules.parse_severity(value if isinstance(value, str) else "")


def _parse_after(value: Any) -> Any:
    seconds = parse_duration(value) if isinstance(value, str) else value
    return call_rules.check_after(seconds) if isinstance(seconds, int) else seconds


def _parse_repeat(value: Any) -> Any:
    seconds = _parse_after(value)
    return call_rules.check_repeat(seconds) if isinstance(seconds, int) else seconds


class CallEntry(BaseModel):
    """One rule: who is called for incidents of a severity, how long after the incident began."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    severity: Annotated[Status, BeforeValidator(_parse_severity)]
    who: Annotated[str, AfterValidator(call_rules.check_who)]
    after: Annotated[int, BeforeValidator(_parse_after)] = 0  # seconds
    repeat: Annotated[int, BeforeValidator(_parse_repeat)] | None = None  # seconds
    quiet: Annotated[str, AfterValidator(call_rules.check_quiet)] | None = None
    until: Annotated[str, AfterValidator(call_rules.check_until)] = "owned"

    def build_rule(self) -> CallRule:
        """The rule as the bot uses it."""
        return CallRule(self.severity, self.who, self.after, self.repeat, self.quiet, self.until == "acknowledged")


def format_rules(rules: list[dict[str, Any]] | None) -> str:
    """The rules of a team in a line, for the difference."""
    if rules is None:
        return "as set in Slack"
    return "; ".join(call_rules.format_rule(CallRule.from_json(rule)) for rule in rules) or "nobody"


# --- checks across entries ---------------------------------------------------------------------------------


def check_calls(tree: Tree) -> Iterator[Mistake]:
    """Finds rules that can call nobody, and steps that call somebody twice. Works on the plain values of the file."""
    assert isinstance(tree.value, dict)
    people = _People.read(_get_list(tree.value, "members"))
    organization = tree.value.get("organization")
    everybody_sees = isinstance(organization, dict) and organization.get("open_membership") is True
    for index, team in enumerate(_get_list(tree.value, "teams")):
        if isinstance(team, dict):
            yield from _check_team(tree, ("teams", index, "calls"), team, people, everybody_sees=everybody_sees)


def _get_list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _check_team(
    tree: Tree, path: Path, team: Mapping[str, Any], people: _People, *, everybody_sees: bool
) -> Iterator[Mistake]:
    if team.get("sync_members") is True and not team.get("slack_usergroup"):
        there = (*path[:-1], "sync_members")
        yield Mistake(tree.line(there), format_path(there), "needs slack_usergroup, whose people are the members")
    reach = _build_reach(team, people, everybody_sees=everybody_sees)
    steps = call_rules.Steps()
    for index, rule in enumerate(_get_list(team, "calls")):
        if not isinstance(rule, dict) or not isinstance(rule.get("who"), str):
            continue
        there = (*path, index, "who")
        try:
            who = call_rules.check_who(rule["who"])
        except ValueError:
            continue  # reported by the check of the field itself
        targets, problem = reach.find_targets(who)
        if problem:
            yield Mistake(tree.line(there), format_path(there), problem)
        try:
            step = (_parse_severity(rule.get("severity")), _parse_after(rule.get("after") or "0m"))
        except ValueError:
            continue  # reported by the check of the field itself
        problem = steps.add(tree.line((*path, index)), *step, targets)
        if problem:
            yield Mistake(tree.line(there), format_path(there), problem)


@dataclass(frozen=True, slots=True)
class _People:
    """The members of the file, by e-mail in lower case. Read once: a file may have thousands, and hundreds of teams."""

    all: Collection[str]
    of_team: Mapping[str, Sequence[str]]  # by slug
    managers: Sequence[str]
    superusers: Collection[str]

    @classmethod
    def read(cls, members: list[Any]) -> _People:
        people = [(str(one.get("email")).lower(), one) for one in members if isinstance(one, dict)]
        of_team: dict[str, list[str]] = defaultdict(list)
        for email, one in people:
            for slug in {team for team in _get_list(one, "teams") if isinstance(team, str)}:
                of_team[slug].append(email)
        return cls(
            all={email for email, _ in people},
            of_team=of_team,
            managers=[email for email, one in people if one.get("role") in (Role.MANAGER, Role.OWNER)],
            superusers={email for email, one in people if one.get("superuser") is True},
        )


def _build_reach(team: Mapping[str, Any], people: _People, *, everybody_sees: bool) -> Reach:
    return Reach(
        has_oncall_usergroup=bool(team.get("oncall_usergroup")),
        is_synced=team.get("sync_members") is True,
        everybody_sees=everybody_sees,
        people=people.all,
        members=people.of_team.get(str(team.get("slug")), ()),
        managers=people.managers,
        superusers=people.superusers,
    )
