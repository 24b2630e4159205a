"""`import`: reads an export and inserts what is not there. What is there stays as it is, so it can be run again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection

from bot.organization.audit import build_changes
from bot.transfer.errors import BadImport
from bot.transfer.import_choices import ChoiceImporter, ChoiceLine
from bot.transfer.import_rows import (
    Known,
    build_alert_memories,
    build_audit_entry,
    build_incident,
    build_log_entry,
    build_mention_rows,
    build_people_rows,
    build_project_rows,
)
from bot.transfer.mentions import resolve_mentions
from bot.transfer.records import (
    AuditRecord,
    Choice,
    IncidentRecord,
    MemberRecord,
    OrganizationRecord,
    ProjectRecord,
    Setup,
    TeamRecord,
)
from storage.audit_rows import Actor, AuditAction, AuditChange
from storage.engine import Store
from storage.queries import (
    audit,
    importing,
    importing_choices,
    organization,
    organization_changes,
    owner_reminders,
    tokens,
)
from storage.values import Status

AT_ONCE = 200  # incidents of one transaction


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the file."""

    number: int  # of its line, from 1
    record: Setup | Choice | IncidentRecord | AuditRecord


class Importer:
    """Imports one file into one organization. `counts` has how many of each kind were added or were there."""

    def __init__(self, store: Store, actor: Actor, *, dry_run: bool, other_cells: Sequence[Store] = ()) -> None:
        """A new organization gets no workspace that one in `other_cells` has."""
        self._store = store
        self._actor = actor  # who imports, for the audit log
        self._dry_run = dry_run
        self._other_cells = other_cells
        self._now = store.clock.now()
        self.added: Counter[str] = Counter()
        self.present: Counter[str] = Counter()
        self.left_out: list[str] = []  # a sentence for each line that is not imported
        self.renumbered: list[tuple[int, int]] = []  # identifiers in the file and here

    def run(self, slug: str, lines: Iterable[Line], tick: Callable[[int], None]) -> None:
        """Imports the lines: first the setup, then the incidents and the audit log. `tick` is told how many are done.

        Raises BadImport, DatabaseAway, Contended. What was imported before stays, and running it again goes on.
        """
        setup: list[Setup] = []
        choices: list[ChoiceLine] = []
        known: Known | None = None
        remaining = self._split_setup(lines, setup, choices)
        while batch := list(islice(remaining, AT_ONCE)):
            if known is None:
                known = self._import_setup(slug, setup, choices)
                tick(len(setup) + len(choices))
            incidents = [(number, one) for number, one in batch if isinstance(one, IncidentRecord)]
            entries = [one for _, one in batch if isinstance(one, AuditRecord)]
            if incidents:
                self._import_incidents(known, incidents)
            if entries:
                self._import_audit_entries(known, entries)
            tick(len(batch))
        if known is None:
            known = self._import_setup(slug, setup, choices)
        if not self._dry_run and self.added.total():
            added = {kind: count for kind, count in sorted(self.added.items()) if count}
            with self._store.write(known.organization_id) as tx:
                self._record(tx, known.organization_id, [AuditChange(AuditAction.DATA_IMPORT, after=added)])

    @staticmethod
    def _split_setup(
        lines: Iterable[Line], setup: list[Setup], choices: list[ChoiceLine]
    ) -> Iterator[tuple[int, IncidentRecord | AuditRecord]]:
        """Yields the lines after the setup, which is put into `setup` and `choices`."""
        begun = False
        for line in lines:
            if isinstance(line.record, IncidentRecord | AuditRecord):
                begun = True
                yield line.number, line.record
            elif begun:
                raise BadImport(f"line {line.number}: a {line.record.type} should stand before the incidents")
            elif isinstance(line.record, Choice):
                choices.append(ChoiceLine(line.number, line.record))
            else:
                setup.append(line.record)

    # --- organization, teams, projects, members ------------------------------------------------------------

    def _import_setup(self, slug: str, setup: Sequence[Setup], choices: Sequence[ChoiceLine]) -> Known:
        if self._dry_run:
            with self._store.read() as connection:
                known = self._plan_setup(connection, slug, setup)
                self._import_choices(connection, known, slug, choices)
                return known
        with self._store.write() as tx:
            return self._write_setup(tx, slug, setup, choices)

    def _plan_setup(self, connection: Connection, slug: str, setup: Sequence[Setup]) -> Known:
        organization_id = importing.find_organization(connection, slug)
        self._count("organization", 1 if organization_id is None else 0, 1)
        known = self._read_known(connection, organization_id)
        if organization_id is None:
            known.workspaces |= set(self._find_description(slug, setup).workspaces)
        for ids, kind, names in self._named(known, setup):
            new = [name for name in names if name not in ids]
            self._count(kind, len(new), len(names))
            ids.update(dict.fromkeys(new, 0))
        return known

    def _write_setup(self, tx: Connection, slug: str, setup: Sequence[Setup], choices: Sequence[ChoiceLine]) -> Known:
        before = organization.find_organization(tx, slug)
        known = self._add_setup(tx, slug, setup)
        self._import_choices(tx, known, slug, choices)
        after = organization.find_organization(tx, slug)
        assert after is not None
        self._record(tx, after.id, build_changes(before, after))
        return known

    def _import_choices(self, connection: Connection, known: Known, slug: str, choices: Sequence[ChoiceLine]) -> None:
        importer = ChoiceImporter(known, slug, self._now, dry_run=self._dry_run)
        importer.run(connection, choices, self._count)
        self.left_out += importer.left_out

    def _record(self, tx: Connection, organization_id: int, changes: Sequence[AuditChange]) -> None:
        audit.record(tx, organization_id, self._actor, changes, self._now)

    def _add_setup(self, tx: Connection, slug: str, setup: Sequence[Setup]) -> Known:
        organization_id = importing.find_organization(tx, slug)
        self._count("organization", 1 if organization_id is None else 0, 1)
        if organization_id is None:
            organization_id = self._insert_organization(tx, self._find_description(slug, setup))
        known = self._read_known(tx, organization_id)
        new: set[tuple[str, str]] = set()
        for ids, kind, names in self._named(known, setup):
            missing = {(kind, name) for name in names if name not in ids}
            self._count(kind, len(missing), len(names))
            new |= missing
        return self._insert_setup(tx, organization_id, [one for one in setup if (one.type, _name(one)) in new])

    def _insert_setup(self, tx: Connection, organization_id: int, new: Sequence[Setup]) -> Known:
        teams = [one for one in new if isinstance(one, TeamRecord)]
        projects = [one for one in new if isinstance(one, ProjectRecord)]
        members = [one for one in new if isinstance(one, MemberRecord)]
        organization_changes.insert_teams(tx, organization_id, [one.model_dump(exclude={"type"}) for one in teams])
        organization_changes.insert_projects(
            tx, organization_id, [one.model_dump(exclude={"type", "teams", "channels"}) for one in projects]
        )
        organization_changes.insert_members(
            tx, organization_id, [one.model_dump(exclude={"type", "teams", "slack_user_ids"}) for one in members]
        )
        importing.save_slack_ids(tx, organization_id, {one.email: one.slack_user_ids for one in members})
        known = self._read_known(tx, organization_id)
        importing.link(
            tx,
            organization_id,
            project_teams=_pair(known.projects, known.teams, [(one.slug, one.teams) for one in projects]),
            project_channels=[(known.projects[one.slug], channel) for one in projects for channel in one.channels],
            member_teams=_pair(known.members, known.teams, [(one.email, one.teams) for one in members]),
        )
        return known

    def _insert_organization(self, tx: Connection, record: OrganizationRecord) -> int:
        taken = importing.find_owners_of_workspaces(tx, record.workspaces)
        for other in self._other_cells:
            with other.read() as connection:
                taken |= importing.find_owners_of_workspaces(connection, record.workspaces)
        if taken:
            raise BadImport(f"the workspace {', '.join(sorted(taken))} belongs to another organization already")
        organization_id = organization_changes.insert_organization(
            tx, record.model_dump(exclude={"type", "workspaces", "connected_in_slack"})
        )
        for one in record.workspaces:
            in_slack = one in record.connected_in_slack
            organization_changes.insert_workspace(tx, organization_id, one, self._now, in_slack=in_slack)
        return organization_id

    @staticmethod
    def _find_description(slug: str, setup: Sequence[Setup]) -> OrganizationRecord:
        found = next((one for one in setup if isinstance(one, OrganizationRecord) and one.slug == slug), None)
        if found is None:
            raise BadImport(f"there is no organization {slug}, and the file does not describe it")
        return found

    @staticmethod
    def _read_known(connection: Connection, organization_id: int | None) -> Known:
        if organization_id is None:
            return Known(0)
        return Known(
            organization_id,
            importing.get_teams(connection, organization_id),
            tokens.get_project_slugs(connection, organization_id),
            importing.get_members(connection, organization_id),
            importing_choices.get_workspaces(connection, organization_id),
        )

    @staticmethod
    def _named(known: Known, setup: Sequence[Setup]) -> list[tuple[dict[str, int], str, list[str]]]:
        return [
            (known.teams, "team", [one.slug for one in setup if isinstance(one, TeamRecord)]),
            (known.projects, "project", [one.slug for one in setup if isinstance(one, ProjectRecord)]),
            (known.members, "member", [one.email for one in setup if isinstance(one, MemberRecord)]),
        ]

    def _count(self, kind: str, added: int, total: int) -> None:
        self.added[kind] += added
        self.present[kind] += total - added

    # --- the audit log -------------------------------------------------------------------------------------

    def _import_audit_entries(self, known: Known, records: Sequence[AuditRecord]) -> None:
        if self._dry_run:  # which of them are there is found out by inserting them
            return
        with self._store.write(known.organization_id) as tx:
            entries = [build_audit_entry(known, one) for one in records]
            new = audit.import_entries(tx, known.organization_id, entries)
        self.added["audit entry"] += new
        self.present["audit entry"] += len(records) - new

    # --- incidents -----------------------------------------------------------------------------------------

    def _import_incidents(self, known: Known, batch: Sequence[tuple[int, IncidentRecord]]) -> None:
        for number, record in batch:
            self._check_names(known, number, record)
        if self._dry_run:
            with self._store.read() as connection:
                self._choose_new(connection, known, batch)
            return
        with self._store.write(known.organization_id) as tx:
            made_from = {known.silences[one]: record.key for _, record in batch for one in record.silences}
            importing.lock_silences(tx, known.organization_id, made_from)
            last = importing.lock_numbers(tx, known.organization_id)
            new, taken = self._choose_new(tx, known, batch)
            numbers = []
            for record in new:
                identifier = record.identifier
                if identifier in taken:
                    identifier = last + 1
                    self.renumbered.append((record.identifier, identifier))
                taken.add(identifier)
                last = max(last, identifier)
                numbers.append(identifier)
            if new:
                self._insert(tx, known, new, numbers)
                importing.set_last_identifier(tx, known.organization_id, last)
            importing.link_silences(tx, known.organization_id, made_from)

    def _choose_new(
        self, connection: Connection, known: Known, batch: Sequence[tuple[int, IncidentRecord]]
    ) -> tuple[list[IncidentRecord], set[int]]:
        """The incidents that are not there, and the identifiers of the others that are taken."""
        records = {record.key: record for _, record in batch}
        present, taken = importing.find_incidents(
            connection, known.organization_id, records.keys(), {one.identifier for one in records.values()}
        )
        new = [record for key, record in records.items() if key not in present]
        self._count("incident", len(new), len(batch))
        return new, taken

    @staticmethod
    def _check_names(known: Known, number: int, record: IncidentRecord) -> None:
        for what, names, ids in (
            ("project", {*record.projects, *({record.alert_project} - {None})}, known.projects),
            ("team", {record.team} - {None}, known.teams),
            ("member", record.people, known.members),
            ("silence", {*record.silences, *({record.silence} - {None})}, known.silences),
        ):
            unknown = sorted(str(name) for name in names if name not in ids)
            if unknown:
                raise BadImport(
                    f"line {number}: incident {record.identifier} names the {what} {unknown[0]}, which the"
                    " organization does not have"
                )

    def _insert(self, tx: Connection, known: Known, records: Sequence[IncidentRecord], numbers: Sequence[int]) -> None:
        alerts = [one.alert_key for one in records if one.alert_key is not None and one.status is not Status.CLOSED]
        burning = importing.find_open_alerts(tx, known.organization_id, alerts)
        ids = importing.insert_incidents(
            tx,
            known.organization_id,
            [build_incident(known, one, number, burning) for one, number in zip(records, numbers, strict=True)],
        )
        pairs = list(zip(ids, records, strict=True))
        importing.insert_alert_memories(tx, known.organization_id, build_alert_memories(known, pairs, burning))
        entries = [(id_, entry) for id_, record in pairs for entry in record.activity]
        texts = [resolve_mentions(entry.comment, known.find_id) if entry.comment else None for _, entry in entries]
        entry_ids = importing.insert_entries(
            tx,
            known.organization_id,
            [build_log_entry(known, id_, entry, text) for (id_, entry), text in zip(entries, texts, strict=True)],
        )
        importing.insert_parts(
            tx,
            known.organization_id,
            projects=[row for id_, record in pairs for row in build_project_rows(known, id_, record)],
            seen=build_people_rows(known, [(id_, record.seen) for id_, record in pairs]),
            followers=build_people_rows(known, [(id_, record.followers) for id_, record in pairs]),
            mentions=[
                row for id_, text in zip(entry_ids, texts, strict=True) for row in build_mention_rows(id_, text or "")
            ],
        )
        owner_reminders.schedule_reminders(tx, known.organization_id, ids, self._now)


def _name(record: Setup) -> str:
    return record.email if isinstance(record, MemberRecord) else record.slug


def _pair(
    ones: Mapping[str, int], others: Mapping[str, int], named: Sequence[tuple[str, Sequence[str]]]
) -> list[tuple[int, int]]:
    """The ids of each name with those of its others that are known."""
    return [(ones[name], others[other]) for name, wanted in named for other in wanted if other in others]
