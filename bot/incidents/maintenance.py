"""Maintenance: silences of everything that matches a project, a team or an environment, among what their maker sees.

Admins, managers and owners of the organization may make one; only managers and owners one that matches everything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.incidents import silence_times, silences
from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH
from bot.incidents.projects import project_by_slug, team_by_slug
from storage.queries import silences as queries
from storage.silence_rows import StartedMaintenance
from storage.values import Role

USAGE = "maintenance team:x|project:x|env:x DURATION|until:… [reason]"
BEFORE = "maintenance project:x"  # the words before the end in the right form

_MATCHER = re.compile(r'(team|project|environment|env):\s*(?:["“”„]([^"“”„]*)["“”„]|(\S+))\s*', re.IGNORECASE)
_EVERYTHING = re.compile(r"(all|everything)(?:\s+|$)", re.IGNORECASE)
_MAY_MAKE = frozenset({Role.ADMIN, Role.MANAGER, Role.OWNER})
_MAY_MATCH_EVERYTHING = frozenset({Role.MANAGER, Role.OWNER})


class MayNotSilenceMuch(Refusal):
    """The caller's role does not allow silencing more than the alert of an incident."""

    def __init__(self) -> None:
        super().__init__(
            "Only admins, managers and owners of the organization can start maintenance. You can silence the alert of"
            " an incident: `silence N 2h`."
        )


class MayNotSilenceEverything(Refusal):
    """The caller's role does not allow silencing everything."""

    def __init__(self) -> None:
        super().__init__(
            "Only managers and owners of the organization can silence everything. Add a team, a project or an"
            f" environment: `{BEFORE} 2h`."
        )


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What somebody wants to be silenced, for how long, and why."""

    ends: datetime
    reason: str = ""
    team: str | None = None  # slug
    project: str | None = None  # slug
    environment: str | None = None

    @property
    def matches_everything(self) -> bool:
        """Whether it is for all alerts of all projects that its maker sees."""
        return not (self.team or self.project or self.environment)


def parse_maintenance(text: str, now: datetime, zone: str) -> Maintenance:
    """Parses what stands behind `maintenance`: what to match and the end, in any order, and a reason.

    Times are in `zone`. Raises InvalidInput.
    """
    matchers: dict[str, str] = {}
    rest = _read_matchers(text, matchers)
    if not matchers and (everything := _EVERYTHING.match(rest)):
        rest = rest[everything.end() :]
    ends, rest = silence_times.parse_end(rest, now, zone, before=BEFORE)
    reason = _read_matchers(rest, matchers)
    return Maintenance(
        ends, " ".join(reason.split()), matchers.get("team"), matchers.get("project"), matchers.get("env")
    )


def _read_matchers(text: str, matchers: dict[str, str]) -> str:
    """Reads `team:`, `project:` and `env:` at the beginning of a text. Returns the rest."""
    text = text.strip()
    while found := _MATCHER.match(text):
        key = found[1].lower().replace("environment", "env")
        if key in matchers:
            raise InvalidInput(f"`{key}:` can be given only once.", f"maintenance {key}:x 2h")
        matchers[key] = (found[2] or found[3] or "").strip()
        if not matchers[key]:
            raise InvalidInput(f"Nothing follows `{key}:`.", f"maintenance {key}:x 2h")
        text = text[found.end() :]
    return text


def check_may_start(access: Access, *, everything: bool = False) -> None:
    """Raises Refusal if the caller may not start maintenance, or not of everything."""
    if not (access.superuser or access.role in _MAY_MAKE):
        raise MayNotSilenceMuch
    if everything and not (access.superuser or access.role in _MAY_MATCH_EVERYTHING):
        raise MayNotSilenceEverything


def start_maintenance(tx: Connection, access: Access, wanted: Maintenance, now: datetime) -> StartedMaintenance:
    """Silences everything that matches until the end. Raises Refusal, InvalidInput."""
    check_may_start(access, everything=wanted.matches_everything)
    silence_times.check_end(wanted.ends, now, field="until", before=BEFORE)
    silences.check_reason(wanted.reason, USAGE)
    environment = wanted.environment
    if environment and len(environment) > MAX_ENVIRONMENT_LENGTH:
        raise InvalidInput(
            f"An environment can have at most {MAX_ENVIRONMENT_LENGTH} characters; this one has {len(environment):,}.",
            USAGE,
            field="env",
        )
    project = team = None
    if wanted.project:
        project = project_by_slug(tx, access, wanted.project, "maintenance project:{} 2h")
    if wanted.team:
        team = team_by_slug(tx, access, wanted.team, "maintenance team:{} 2h")
    matchers: dict[str, Any] = {}
    if team:
        matchers["team"] = team.id
    if environment:
        matchers["environment"] = environment.lower()
    silence_id = queries.insert_silence(
        tx,
        organization_id=access.organization_id,
        workspace_id=access.workspace_id,
        project_id=project.id if project else None,
        incident_id=None,
        member_id=access.member_id,
        matchers=matchers,
        reason=wanted.reason or None,
        ends=wanted.ends,
        now=now,
    )
    silences.record_new(tx, access, silence_id, now)
    held = silences.hold_matching(tx, access.organization_id, silence_id, now)
    return StartedMaintenance(
        silence_id, wanted.ends, project.name if project else None, team.name if team else None, environment, held
    )
