"""The second wall: what names its organization writes no row of another one, whatever the statement says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from io import BytesIO

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from storage.engine import Store, limit_writes, write_everywhere
from storage.models import Base
from storage.prepared import PreparedStatement
from storage.queries import moving
from storage.queries.organization_changes import insert_workspace
from tests.storage.test_migrating_tenants import ORGANIZATIONS, write_as_before

# What belongs to the installation as a whole: whoever installs is of no organization yet.
INSTALLATION_WIDE = {"installation", "installation_workspace", "oauth_state", "process_lease", "replica"}
TENANT_TABLES = sorted(Base.metadata.tables.keys() - INSTALLATION_WIDE)
# A row of each other table for each organization, beside those of `write_as_before`.
OTHERS = """
INSERT INTO handled_request (workspace_id, key) SELECT id, 'k' FROM workspace;
INSERT INTO method_pace (workspace_id, method, spoken_for_until) SELECT id, 'm', now() FROM workspace;
INSERT INTO slack_person (workspace_id, user_id, name) SELECT id, 'U1', 'Ada' FROM workspace;
INSERT INTO usergroup (workspace_id, id) SELECT id, 'S1' FROM workspace;
INSERT INTO usergroup_user (workspace_id, usergroup_id, user_id) SELECT id, 'S1', 'U1' FROM workspace;
INSERT INTO workspace_request (organization_id, workspace_id, installed_by, date_added)
SELECT id, 'T9', 'U1', now() FROM organization;
INSERT INTO join_request (organization_id, workspace_id, user_id, name, date_added)
SELECT organization_id, id, 'U1', 'Ada', now() FROM workspace;
INSERT INTO organization_move (organization_id, cell, date_started) SELECT id, 'c', now() FROM organization;
INSERT INTO intake_token (organization_id, source) SELECT id, 'events' FROM organization;
INSERT INTO alert_memory (organization_id, dedup_key) SELECT id, 'k' FROM organization;
INSERT INTO audit_entry (organization_id, date_added, origin, action) SELECT id, now(), 'file', 'x' FROM organization;
INSERT INTO member_slack_user (organization_id, member_id, workspace_id, slack_user_id)
SELECT organization_id, id, 'T' || organization_id, 'U1' FROM member;
INSERT INTO followed_filter (organization_id, member_id, severity, date_added)
SELECT organization_id, id, 20, now() FROM member;
INSERT INTO form_text (organization_id, member_id, text, date_added) SELECT organization_id, id, 'x', now() FROM member;
INSERT INTO personal_digest (organization_id, member_id, workspace_id, cron, zone, next_fire_at, since, date_added)
SELECT organization_id, id, 'T' || organization_id, '0 9 * * *', 'UTC', now(), now(), now() FROM member;
INSERT INTO handoff (organization_id, workspace_id, giver_id, receiver_id, shift, date_added, expires_at)
SELECT organization_id, 'T' || organization_id, id, id, false, now(), now() FROM member;
INSERT INTO handoff_item (organization_id, handoff_id, incident_id, state)
SELECT h.organization_id, h.id, i.id, 'offered' FROM handoff h JOIN incident i USING (organization_id);
INSERT INTO owner_reminder (organization_id, incident_id, due_at, step)
SELECT organization_id, id, now(), 0 FROM incident;
INSERT INTO call_step (organization_id, incident_id, round, step, repetition, team_id, severity, who, after_s, until,
                       since)
SELECT i.organization_id, i.id, 1, 1, 0, t.id, 20, 'team', 0, 'owned', now()
FROM incident i JOIN team t USING (organization_id);
INSERT INTO call_recipient (organization_id, incident_id, round, step, repetition, member_id)
SELECT c.organization_id, c.incident_id, 1, 1, 0, m.id FROM call_step c JOIN member m USING (organization_id);
INSERT INTO silence (organization_id, member_id, matchers, starts, ends)
SELECT organization_id, id, '{}', now(), now() + interval '1 hour' FROM member;
INSERT INTO storm (organization_id, destination_id, post_id, cards, within_s, date_started, date_last, calm_at)
SELECT organization_id, destination_id, id, 5, 60, now(), now(), now() FROM post WHERE incident_id IS NOT NULL;
INSERT INTO storm_incident (organization_id, storm_id, incident_id, destination_id, folded)
SELECT s.organization_id, s.id, i.id, s.destination_id, true FROM storm s JOIN incident i USING (organization_id)
"""


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """Connections of the role that owns the tables, and rows of two organizations in every table."""
    with closing(Store.open(database_url)) as opened:
        with opened.write() as tx:  # it names no organization, and writes rows of all
            tx.exec_driver_sql(ORGANIZATIONS)
            write_as_before(tx, 1)
            tx.exec_driver_sql(OTHERS)
        yield opened


def get_acme(store: Store) -> int:
    with store.read() as connection:
        found: int = connection.exec_driver_sql("SELECT id FROM organization WHERE slug = 'acme'").scalar_one()
    return found


def own_rows(table: str, organization_id: int) -> str:
    """The condition of the rows of an organization."""
    columns = Base.metadata.tables[table].columns
    if "organization_id" in columns:
        return f"organization_id = {organization_id}"
    return f"id = {organization_id}" if table == "organization" else f"workspace_id = 'T{organization_id}'"


def count(connection: Connection, table: str, condition: str = "true") -> int:
    found: int = connection.exec_driver_sql(f"SELECT count(*) FROM {table} WHERE {condition}").scalar_one()  # noqa: S608
    return found


class Undo(Exception):
    pass


@pytest.mark.parametrize("statement", ["UPDATE {table} SET {column} = {column}", "DELETE FROM {table}"])
def test_a_statement_without_a_condition_changes_rows_of_one_organization(store: Store, statement: str) -> None:
    acme, changed, expected = get_acme(store), {}, {}
    for table in TENANT_TABLES:
        column = "id" if table == "organization" else own_rows(table, acme).split(" ", maxsplit=1)[0]
        if table == "audit_entry":
            continue  # its trigger refuses both, whoever asks
        with pytest.raises(Undo), store.write(acme) as tx:
            expected[table] = count(tx, table, own_rows(table, acme)), count(tx, table) // 2
            changed[table] = tx.exec_driver_sql(statement.format(table=table, column=column)).rowcount
            raise Undo
    assert all(mine == half > 0 for mine, half in expected.values()), expected
    assert changed == {table: mine for table, (mine, _) in expected.items()}


def test_a_row_of_another_organization_is_not_inserted(store: Store) -> None:
    acme = get_acme(store)
    for table in TENANT_TABLES:
        columns = [column.name for column in Base.metadata.tables[table].columns if column.identity is None]
        given = ", ".join(columns)
        others = f"SELECT {given} FROM {table} WHERE NOT ({own_rows(table, acme)})"  # noqa: S608 - of the model
        if table == "organization":
            given, others = "slug, name", "SELECT 'other', 'Other'"
        refusal = f'new row violates row-level security policy for table "{table}"'
        with pytest.raises(ProgrammingError, match=refusal), store.write(acme) as tx:
            tx.exec_driver_sql(f"INSERT INTO {table} ({given}) {others}")


def test_a_row_is_not_given_to_another_organization(store: Store) -> None:
    acme = get_acme(store)
    with pytest.raises(ProgrammingError, match="row-level security"), store.write(acme) as tx:
        tx.exec_driver_sql("UPDATE team SET organization_id = organization_id + 1")


def test_a_transaction_can_name_its_organization_later(store: Store) -> None:
    acme = get_acme(store)
    with pytest.raises(Undo), store.write() as tx:
        assert tx.exec_driver_sql("UPDATE team SET name = 'B'").rowcount == 2
        limit_writes(tx, acme)
        assert tx.exec_driver_sql("UPDATE team SET name = 'C'").rowcount == 1
        raise Undo


def test_the_next_transaction_of_a_connection_names_none(store: Store) -> None:
    acme = get_acme(store)
    with closing(Store.open(store.url, writing=1)) as one:
        for in_one_message in (False, True):
            with one.write(acme, in_one_message=in_one_message) as tx:
                assert tx.exec_driver_sql("UPDATE team SET name = 'B'").rowcount == 1
            with one.write() as tx:
                assert tx.exec_driver_sql("UPDATE team SET name = 'C'").rowcount == 2


def test_every_table_of_an_organization_has_the_wall(store: Store) -> None:
    with store.read() as connection:
        walled = connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity ORDER BY relname"
        ).scalars()
        assert sorted(walled) == TENANT_TABLES


def test_rows_from_another_database_are_taken_in(store: Store) -> None:
    """COPY itself cannot write into these tables."""
    acme, copied, teams = get_acme(store), BytesIO(), Base.metadata.tables["team"]
    with store.read() as connection:
        number = moving.write_copy(connection, teams, moving.find_tenant(connection, acme), copied)
    copied.seek(0)
    with pytest.raises(Undo), store.write() as tx:
        tx.exec_driver_sql("DELETE FROM team")
        moving.read_copy(tx, teams, copied)
        assert count(tx, "team") == count(tx, "team", own_rows("team", acme)) == number > 0
        raise Undo


def test_a_workspace_that_another_organization_has_disconnected_is_taken_over(store: Store) -> None:
    acme = get_acme(store)
    with store.write() as tx:
        taken = tx.exec_driver_sql(
            f"UPDATE workspace SET date_disconnected = now() WHERE organization_id <> {acme} RETURNING id"  # noqa: S608
        ).scalar_one()
    with store.write(acme) as tx:
        assert insert_workspace(tx, acme, taken, store.clock.now())
        assert tx.exec_driver_sql("UPDATE team SET name = 'B'").rowcount == 1  # the wall stands again
    with store.read() as connection:
        assert count(connection, "workspace", f"organization_id = {acme}") == 2


_RENAME_TEAMS = PreparedStatement("UPDATE team SET name = %(name)s", {"name": "text"})
_LIST_TEAMS = PreparedStatement("SELECT DISTINCT name FROM team ORDER BY name")


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_deferred_is_carried_out_under_the_wall_that_stood_then(store: Store, begun: bool) -> None:
    acme = get_acme(store)
    with pytest.raises(Undo), store.write(acme) as tx:
        if begun:
            _LIST_TEAMS.rows(tx, {})
        with write_everywhere(tx):
            _RENAME_TEAMS.defer(tx, {"name": "of all"})
        assert [tuple(row) for row in _LIST_TEAMS.rows(tx, {})] == [("of all",)]
        _RENAME_TEAMS.defer(tx, {"name": "of one"})
        assert [tuple(row) for row in _LIST_TEAMS.rows(tx, {})] == [("of all",), ("of one",)]
        raise Undo


def test_the_wall_stands_again_after_an_error(store: Store) -> None:
    acme = get_acme(store)
    with pytest.raises(Undo), store.write(acme) as tx:
        with pytest.raises(LookupError), write_everywhere(tx):
            raise LookupError
        assert tx.exec_driver_sql("UPDATE team SET name = 'B'").rowcount == 1
        raise Undo
