"""Imports what members have set up in Slack: digests, filters that they follow, and silences.

Each comes in as it was, paused or not. Only what is said of the past is not made up for: a digest is due next after the
import, and a silence whose end has passed meanwhile has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.digests.schedule import parse_cron
from bot.transfer.errors import BadImport
from bot.transfer.import_rows import Known
from bot.transfer.records import Choice, DigestRecord, FollowedFilterRecord, PersonalDigestRecord, SilenceRecord
from storage.queries import importing_choices as queries
from storage.values import NO_TEAM

Count = Callable[[str, int, int], None]  # is told a kind, how many of it are new, and how many there are in the file
_UNUSED_GRACE = 10  # minutes; with the default grace nobody reads them
_KINDS: Mapping[type[Choice], str] = {
    DigestRecord: "digest",
    PersonalDigestRecord: "personal digest",
    FollowedFilterRecord: "followed filter",
    SilenceRecord: "silence",
}


@dataclass(frozen=True, slots=True)
class ChoiceLine:
    """One of them, and where it stands in the file."""

    number: int
    record: Choice


class ChoiceImporter:
    """Imports into one organization. `left_out` has a sentence for each that cannot be there."""

    def __init__(self, known: Known, slug: str, now: datetime, *, dry_run: bool) -> None:
        self._known = known
        self._slug = slug
        self._now = now
        self._dry_run = dry_run
        self.left_out: list[str] = []

    def run(self, connection: Connection, lines: Sequence[ChoiceLine], count: Count) -> None:
        """Inserts what is not there, and enters the silences in what is known. Raises BadImport."""
        for line in lines:
            self._check_names(line)
        lines = [line for line in lines if self._has_workspace(line)]
        organization_id = self._known.organization_id
        new: list[Choice] = []
        known: dict[type[Choice], set[Any]] = {
            DigestRecord: queries.get_digests(connection, organization_id),
            PersonalDigestRecord: queries.get_personal_digests(connection, organization_id),
            FollowedFilterRecord: queries.get_followed_filters(connection, organization_id),
        }
        silences = queries.get_silences(connection, organization_id)
        for record in (line.record for line in lines):
            if isinstance(record, SilenceRecord):
                found = next((silences[key] for key in _list_keys(record) if key in silences), None)
                self._known.silences[record.number] = found or 0
                if found is None:
                    new.append(record)
                    silences |= dict.fromkeys(_list_keys(record), 0)
            elif (key := self._find_key(record)) not in known[type(record)]:
                known[type(record)].add(key)
                new.append(record)
        for type_, kind in _KINDS.items():
            total = sum(isinstance(line.record, type_) for line in lines)
            if total:
                count(kind, sum(isinstance(one, type_) for one in new), total)
        if not self._dry_run:
            self._insert(connection, new)

    def _check_names(self, line: ChoiceLine) -> None:
        for what, name, ids in _list_names(line.record, self._known):
            if name is not None and name not in ids:
                kind = _KINDS[type(line.record)]
                raise BadImport(
                    f"line {line.number}: the {kind} names the {what} {name}, which the organization does not have"
                )

    def _has_workspace(self, line: ChoiceLine) -> bool:
        record = line.record
        if not isinstance(record, DigestRecord | PersonalDigestRecord) or record.workspace in self._known.workspaces:
            return True
        whose = (
            f"the digest of {record.owner} in the channel {record.channel}"
            if isinstance(record, DigestRecord)
            else f"the personal digest of {record.member}"
        )
        self.left_out.append(
            f"Line {line.number}: {whose} is left out, because {self._slug} does not use the workspace"
            f" {record.workspace} here."
        )
        return False

    def _find_key(self, record: DigestRecord | PersonalDigestRecord | FollowedFilterRecord) -> Any:
        """By what one is known again, whatever its id is here."""
        if isinstance(record, DigestRecord):
            return record.name or record.date_added
        member_id = self._known.members[record.member]
        if isinstance(record, PersonalDigestRecord):
            return member_id or record.member  # in a dry run, a new member has no id of their own
        given = tuple(self._build_filter(record)[name] for name in ("team_id", "project_id", "severity"))
        return (member_id, *given) if member_id and 0 not in given else record

    # --- rows ----------------------------------------------------------------------------------------------------

    def _insert(self, tx: Connection, new: Sequence[Choice]) -> None:
        organization_id = self._known.organization_id
        digests = [one for one in new if isinstance(one, DigestRecord)]
        queries.insert_digests(tx, organization_id, [(self._build_digest(one), one.last_sent) for one in digests])
        personal = [self._build_personal_digest(one) for one in new if isinstance(one, PersonalDigestRecord)]
        queries.insert_personal_digests(tx, organization_id, personal)
        filters = [self._build_filter(one) for one in new if isinstance(one, FollowedFilterRecord)]
        queries.insert_followed_filters(tx, organization_id, filters)
        silences = [one for one in new if isinstance(one, SilenceRecord)]
        ids = queries.insert_silences(tx, organization_id, [self._build_silence(one) for one in silences])
        self._known.silences |= {one.number: id_ for one, id_ in zip(silences, ids, strict=True)}

    def _find_next(self, record: DigestRecord | PersonalDigestRecord) -> datetime | None:
        if record.date_paused is not None:
            return None
        return parse_cron(record.cron).next(self._now, ZoneInfo(record.zone))

    def _build_digest(self, record: DigestRecord) -> Mapping[str, Any]:
        return {
            **record.model_dump(
                include={"name", "owner_user_id", "cron", "zone", "filters", "skip_empty", "picture", "date_paused",
                         "pause_reason", "date_added"}
            ),
            "workspace_id": record.workspace,
            "channel_id": record.channel,
            "owner_id": self._known.members[record.owner],
            "grace_minutes": _UNUSED_GRACE if record.grace_minutes is None else record.grace_minutes,
            "default_grace": record.grace_minutes is None,
            "last_fire_at": record.last_sent,
            "next_fire_at": self._find_next(record),
        }  # fmt: skip

    def _build_personal_digest(self, record: PersonalDigestRecord) -> Mapping[str, Any]:
        return {
            **record.model_dump(include={"cron", "zone", "since", "date_paused", "date_added"}),
            "member_id": self._known.members[record.member],
            "workspace_id": record.workspace,
            "next_fire_at": self._find_next(record),
        }

    def _build_filter(self, record: FollowedFilterRecord) -> Mapping[str, Any]:
        return {
            "member_id": self._known.members[record.member],
            "team_id": self._known.teams[record.team] if record.team else None,
            "project_id": self._known.projects[record.project] if record.project else None,
            "severity": record.severity and int(record.severity),
            "date_added": record.date_added,
        }

    def _build_silence(self, record: SilenceRecord) -> Mapping[str, Any]:
        matchers = record.matchers.model_dump(exclude_unset=True)
        if "team" in matchers:
            matchers["team"] = self._known.teams[matchers["team"]] if matchers["team"] else NO_TEAM
        ended = record.date_ended or (record.ends if record.ends <= self._now else None)
        # Its maker is told of its end there. One that was made in Alertmanager has neither.
        workspace_id = record.workspace and self._known.choose_workspace(record.workspace)
        return {
            **record.model_dump(
                include={"made_by", "reason", "starts", "ends", "alertmanager_id", "alertmanager_keys",
                         "alertmanager_done", "released", "released_open"}
            ),
            "workspace_id": workspace_id,
            "project_id": self._known.projects[record.project] if record.project else None,
            "member_id": self._known.members[record.member] if record.member else None,
            "matchers": matchers,
            "date_ended": ended,
            "ended_by": self._known.members[record.ended_by] if record.ended_by else None,
            "hold_after": None if ended else 0,  # what is open here is still to be compared with it
        }  # fmt: skip


def _list_keys(record: SilenceRecord) -> Iterator[queries.SilenceKey]:
    if record.alertmanager_id is not None:
        yield record.alertmanager_id, None
    yield record.member or record.made_by or "", record.starts


def _list_names(record: Choice, known: Known) -> list[tuple[str, str | None, Mapping[str, int]]]:
    """What a line names, each with its kind and what there is of that kind."""
    if isinstance(record, DigestRecord):
        return [("member", record.owner, known.members)]
    if isinstance(record, PersonalDigestRecord):
        return [("member", record.member, known.members)]
    if isinstance(record, FollowedFilterRecord):
        return [
            ("member", record.member, known.members),
            ("team", record.team, known.teams),
            ("project", record.project, known.projects),
        ]
    return [
        ("member", record.member, known.members),
        ("member", record.ended_by, known.members),
        ("project", record.project, known.projects),
        ("team", record.matchers.team, known.teams),
    ]
