"""The audit log: an entry is written with what it records, and never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.engine import Store
from storage.queries.audit import record

OPERATOR = Actor(AuditOrigin.COMMAND, name="root@host")
ENTRIES = "SELECT id, action, subject, before, after FROM audit_entry ORDER BY id"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


@pytest.fixture
def organizations(store: Store) -> tuple[int, int]:
    with store.write() as tx:
        rows = tx.execute(text("INSERT INTO organization (slug, name) VALUES ('a', 'A'), ('b', 'B') RETURNING id"))
        one, other = (row.id for row in rows)
        for organization_id in (one, other):
            changes = [
                AuditChange(AuditAction.TEAM_ADD, "payments", after={"name": "Payments"}),
                AuditChange(AuditAction.TEAM_REMOVE, "search", before={"name": "Search"}),
            ]
            record(tx, organization_id, OPERATOR, changes, store.clock.now())
    return one, other


def read(store: Store) -> list[tuple[object, ...]]:
    with store.read() as connection:
        return [tuple(row)[1:] for row in connection.execute(text(ENTRIES))]


def test_entries_are_written_with_what_they_record(store: Store, organizations: tuple[int, int]) -> None:
    assert read(store)[:2] == [
        ("team.add", "payments", None, {"name": "Payments"}),
        ("team.remove", "search", {"name": "Search"}, None),
    ]
    with suppress(LookupError), store.write() as tx:
        record(tx, organizations[0], OPERATOR, [AuditChange(AuditAction.DATA_EXPORT)], store.clock.now())
        raise LookupError
    assert len(read(store)) == 4


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_entry WHERE subject = 'payments'",
        "UPDATE audit_entry SET actor = 'somebody else'",
        "TRUNCATE audit_entry",
        "DELETE FROM audit_entry",
    ],
)
@pytest.mark.usefixtures("organizations")
def test_nobody_changes_an_entry(store: Store, statement: str) -> None:
    before = read(store)
    with pytest.raises(IntegrityError, match="not changed"), store.write() as tx:
        tx.execute(text(statement))
    assert read(store) == before


DELETE_OLD = "DELETE FROM audit_entry WHERE organization_id = :id AND action LIKE 'team.%'"
SCRUB = "UPDATE audit_entry SET before = NULL WHERE organization_id = :id AND action LIKE 'team.%'"


@pytest.mark.parametrize(
    ("action", "statement"), [(AuditAction.DATA_RETENTION, DELETE_OLD), (AuditAction.MEMBER_ERASE, SCRUB)]
)
def test_retention_and_erasing_pass_when_they_are_recorded(
    store: Store, organizations: tuple[int, int], action: AuditAction, statement: str
) -> None:
    one, other = organizations
    other_action = next(iter({AuditAction.DATA_RETENTION, AuditAction.MEMBER_ERASE} - {action}))

    def change(recorded: AuditAction, organization_id: int) -> Callable[[], None]:
        def run() -> None:
            with store.write() as tx:
                record(tx, one, OPERATOR, [AuditChange(recorded)], store.clock.now())
                tx.execute(text(statement), {"id": organization_id})

        return run

    for refused in (change(other_action, one), change(action, other)):
        with pytest.raises(IntegrityError, match="not changed"):
            refused()
    change(action, one)()
    assert [(name, before) for name, _, before, _ in read(store) if before] == [("team.remove", {"name": "Search"})]
    assert [name for name, *_ in read(store)].count(str(action)) == 1
    # What it recorded is of its transaction alone.
    with pytest.raises(IntegrityError, match="not changed"), store.write() as tx:
        tx.execute(text("DELETE FROM audit_entry WHERE organization_id = :id"), {"id": one})


def test_the_log_goes_with_its_organization(store: Store, organizations: tuple[int, int]) -> None:
    with store.write() as tx:
        tx.execute(
            text("INSERT INTO member (organization_id, email, name) VALUES (:id, 'ada@a.test', 'Ada')"),
            {"id": organizations[0]},
        )
        member_id = tx.scalar(text("SELECT id FROM member"))
        ada = Actor(AuditOrigin.SLACK, member_id, workspace_id="T1")
        change = AuditChange(AuditAction.MEMBER_ADD, subject_member_id=member_id)
        record(tx, organizations[0], ada, [change], store.clock.now())
    with store.write() as tx:
        tx.execute(text("DELETE FROM organization WHERE id = :id"), {"id": organizations[0]})
    assert len(read(store)) == 2
