"""The calls of a team in the organization file: who is called for an incident, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import time
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from bot.organization.durations import format_duration, parse_duration
from bot.organization.tree import Mistake, Path, Tree, format_path
from storage.call_rows import MANAGERS, ON_CALL, TEAM, CallRule
from storage.values import Role, Status

_SEVERITIES = {"critical": Status.CRITICAL, "warning": Status.WARNING, "none": Status.OPEN, "open": Status.OPEN}
SEVERITY_WORDS = {Status.CRITICAL: "critical", Status.WARNING: "warning", Status.OPEN: "none"}
MAX_AFTER_S = 30 * 86400
MIN_REPEAT_S = 60
_QUIET = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})")


def _parse_severity(value: Any) -> Status:
    found = _SEVERITIES.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("should be critical, warning or none")
    return found


def _parse_after(value: Any) -> Any:
    seconds = parse_duration(value) if isinstance(value, str) else value
    if isinstance(seconds, int) and seconds > MAX_AFTER_S:
        raise ValueError("should be at most 30d")
    return seconds


def _parse_repeat(value: Any) -> Any:
    seconds = _parse_after(value)
    if isinstance(seconds, int) and seconds < MIN_REPEAT_S:
        raise ValueError("repeats faster than once a minute; it should be 1m or more")
    return seconds


def _check_who(value: str) -> str:
    if value.lower() in (ON_CALL, TEAM, MANAGERS) or "@" in value:
        return value.lower()
    raise ValueError("should be oncall, team, managers or the e-mail address of a member")


def _check_quiet(value: str) -> str:
    found = _QUIET.fullmatch(value.strip())
    try:
        begin, end = (time(int(found[n]), int(found[n + 1])) for n in (1, 3)) if found else (None, None)
    except ValueError:
        begin = end = None
    if begin is None or end is None:
        raise ValueError("should be two times of the day, like 22:00-07:00")
    if begin == end:
        raise ValueError("covers the whole day, so this could call nobody")
    return f"{begin:%H:%M}-{end:%H:%M}"


def _check_until(value: str) -> str:
    if value not in ("owned", "acknowledged"):
        raise ValueError("should be owned or acknowledged")
    return value


class CallEntry(BaseModel):
    """One rule: who is called for incidents of a severity, how long after the incident began."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    severity: Annotated[Status, BeforeValidator(_parse_severity)]
    who: Annotated[str, AfterValidator(_check_who)]
    after: Annotated[int, BeforeValidator(_parse_after)] = 0  # seconds
    repeat: Annotated[int, BeforeValidator(_parse_repeat)] | None = None  # seconds
    quiet: Annotated[str, AfterValidator(_check_quiet)] | None = None
    until: Annotated[str, AfterValidator(_check_until)] = "owned"

    def build_rule(self) -> CallRule:
        """The rule as the bot uses it."""
        return CallRule(self.severity, self.who, self.after, self.repeat, self.quiet, self.until == "acknowledged")


def format_rules(rules: list[dict[str, Any]] | None) -> str:
    """The rules of a team in a line, for the difference."""
    if rules is None:
        return "as set in Slack"
    return "; ".join(_format_rule(CallRule.from_json(rule)) for rule in rules) or "nobody"


def _format_rule(rule: CallRule) -> str:
    parts = [SEVERITY_WORDS[rule.severity], rule.who, "after", format_duration(rule.after_s)]
    parts += ["repeat", format_duration(rule.repeat_s)] if rule.repeat_s else []
    parts += ["quiet", rule.quiet] if rule.quiet else []
    parts += ["until acknowledged"] if rule.until_acknowledged else []
    return " ".join(parts)


# --- checks across entries ---------------------------------------------------------------------------------


def check_calls(tree: Tree) -> Iterator[Mistake]:
    """Finds rules that can call nobody, and steps that call somebody twice. Works on the plain values of the file."""
    assert isinstance(tree.value, dict)
    people = [one for one in _get_list(tree.value, "members") if isinstance(one, dict)]
    organization = tree.value.get("organization")
    everybody_sees = isinstance(organization, dict) and organization.get("open_membership") is True
    for index, team in enumerate(_get_list(tree.value, "teams")):
        if isinstance(team, dict):
            yield from _check_team(tree, ("teams", index, "calls"), team, people, everybody_sees=everybody_sees)


def _get_list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _check_team(
    tree: Tree, path: Path, team: Mapping[str, Any], people: list[dict[str, Any]], *, everybody_sees: bool
) -> Iterator[Mistake]:
    if team.get("sync_members") is True and not team.get("slack_usergroup"):
        there = (*path[:-1], "sync_members")
        yield Mistake(tree.line(there), format_path(there), "needs slack_usergroup, whose people are the members")
    called: dict[tuple[Any, Any], dict[str, int]] = {}  # by severity and time: who is called, and by which rule
    for index, rule in enumerate(_get_list(team, "calls")):
        if not isinstance(rule, dict) or not isinstance(rule.get("who"), str):
            continue
        here = (*path, index)
        who = rule["who"].lower()
        targets, problem = _find_targets(who, team, people, everybody_sees=everybody_sees)
        if problem:
            yield Mistake(tree.line((*here, "who")), format_path((*here, "who")), problem)
        try:
            step = (_parse_severity(rule.get("severity")), _parse_after(rule.get("after") or "0m"))
        except ValueError:
            continue  # reported by the check of the field itself
        others = called.setdefault(step, {})
        twice = next((one for one in targets if one in others), None)
        if twice is not None:
            line = tree.line((*path, others[twice]))
            whom = "who is on call" if twice == ON_CALL else twice
            yield Mistake(
                tree.line((*here, "who")),
                format_path((*here, "who")),
                f"calls {whom} twice in one step; the rule on line {line} calls them at the same time",
            )
        others |= {one: index for one in targets if one not in others}


def _find_targets(
    who: str, team: Mapping[str, Any], people: list[dict[str, Any]], *, everybody_sees: bool
) -> tuple[list[str], str | None]:
    """Who a rule calls, by e-mail, and why it can call nobody; None if it can."""
    managers = [str(one.get("email")).lower() for one in people if one.get("role") in (Role.MANAGER, Role.OWNER)]
    members = [str(one.get("email")).lower() for one in people if team.get("slug") in _get_list(one, "teams")]
    if who == ON_CALL:
        missing = not team.get("oncall_usergroup")
        return [ON_CALL], "can call nobody: the team has no oncall_usergroup" if missing else None
    if who == TEAM:
        if team.get("sync_members") is True:
            return members, None  # Slack knows who is in it
        return members, None if members else "can call nobody: no member is in this team"
    if who == MANAGERS:
        return managers, None if managers else "can call nobody: no member is a manager or an owner"
    if "@" not in who:
        return [], None  # reported by the check of the field itself
    named = next((one for one in people if str(one.get("email")).lower() == who), None)
    if named is None:
        return [], f"can call nobody: there is no member {who}"
    sees = (
        everybody_sees
        or team.get("sync_members") is True
        or who in managers
        or who in members
        or named.get("superuser") is True
    )
    return [who], None if sees else f"can call nobody: {who} is not in this team, so cannot see its incidents"
