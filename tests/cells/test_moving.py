"""An organization moves from one cell to the other, and loses nothing on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from bot.transfer import moving
from storage.engine import Store
from storage.queries import moving as queries
from storage.queries.moving import list_tables
from tests.cells.conftest import Cells
from tests.tenant_statements import watched

# What background work writes at any time, and what says that the organization was moved.
CHANGES_BY_ITSELF = frozenset({"audit_entry", "destination", "method_pace", "handled_request", "slack_person"})


class Killed(BaseException):
    """The mover's process ends here."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The directories of these tests keep no answers, so the source may delete at once."""
    monkeypatch.setattr(moving, "NOTICED_WITHIN_S", 0.0)


@pytest.fixture
def working(served: Cells) -> Cells:
    """Acme has incidents with everything that people and alerts do to them."""
    ada = served.cast.ada
    token = served.create_token("acme")
    assert served.alert(token, "web", "checkout").status_code == 202
    for words in (
        "ack 1",
        "comment 1 Looking into it",
        "subscribe 1",
        "take 1",
        "declare project:checkout Payments fail",
        "silence 1 2h Known",
        'digest me "weekdays at 9"',
        "subscribe team:payments critical",
    ):
        served.see(ada, words)
    served.rest()
    served.token = token
    return served


def count_rows(store: Store, organization: str) -> dict[str, int]:
    with store.read() as connection:
        id_ = connection.scalar(text("SELECT id FROM organization WHERE slug = :slug"), {"slug": organization})
        if id_ is None:
            return {}
        tenant = queries.find_tenant(connection, id_)
        counts = {
            table.name: queries.compute_checksum(connection, table, tenant, at_source=True)[0]
            for table in list_tables()
        }
    return {name: count for name, count in counts.items() if name not in CHANGES_BY_ITSELF}


def count_all(store: Store) -> int:
    """The rows of all tables that a move empties, whosever they are."""
    with store.read() as connection:
        return sum(
            connection.scalar(text(f"SELECT count(*) FROM {table.name}")) or 0  # noqa: S608 - of the models
            for table in list_tables()
        )


def list_cards(cells: Cells) -> list[str]:
    return [message.markup for message in cells.cast.ada.sees(cells.cast.checkout)]


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: Callable[..., bool]) -> None:
    original = getattr(owner, name)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if when(*arguments):
            raise Killed
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, interrupted)


def test_everything_is_there_after_a_move_and_nothing_is_sent_again(working: Cells) -> None:
    ada = working.cast.ada
    before, cards = count_rows(working.store, "acme"), list_cards(working)
    assert before["incident"] == 2
    for table in (
        "incident_activity",
        "incident_seen",
        "incident_subscription",
        "followed_filter",
        "silence",
        "personal_digest",
        "post",
        "intake_token",
        "alert_memory",
        "installation",
        "slack_person",
    ):
        assert before.get(table, 1), table

    with watched() as watch:
        assert "acme is in the cell two now." in working.type("move", "acme", "two")

    assert not watch.found, "\n".join(watch.found)
    assert {"moving.delete_batch", "moving.find_tenant", "moving.pause"} <= watch.looked_at
    assert count_rows(working.two, "acme") == before
    assert count_all(working.store) == 0
    assert "Looking into it" in working.see(ada, "activity 1")
    assert "#3 Search fails" in working.see(ada, "declare project:checkout Search fails")
    assert working.alert(working.token, "web", "checkout").json()["accepted"] == [1]
    assert "#2 Payments fail" in working.see(ada, "resolve 2")
    working.rest()
    ada.wait_for_message(working.cast.checkout, containing="Resolved")
    now = list_cards(working)
    assert len(now) == len(cards) + 1, "each card stands once, and that of #3 came"
    assert "moved the organization to the cell two" in working.type("audit", "--organization", "acme")
    assert "acme is in the cell two already." in working.type("move", "acme", "two")

    assert "acme is in the cell default now." in working.type("move", "acme", "default")
    assert "#3 Search fails" in working.see(ada, "list all")


def test_a_move_that_is_killed_refuses_changes_until_it_goes_on(
    working: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, before = working.cast.ada, count_rows(working.store, "acme")
    with monkeypatch.context() as patch:
        interrupt(patch, queries, "read_copy", lambda _tx, table, _source: table.name == "post")
        with pytest.raises(Killed):
            working.type("move", "acme", "two")
    working.reconfigure_log()
    assert count_rows(working.two, "acme") == {}
    assert "#1 web is down" in working.see(ada, "list all")
    refused = working.see(ada, "comment 1 Is anybody there?")
    assert "Your organization is being moved" in refused and "Is anybody there?" in refused
    delivery = working.alert(working.token, "web2", "checkout")
    assert (delivery.status_code, delivery.headers["Retry-After"]) == (503, "30")
    assert working.alert(working.create_token("labs"), "probe", "rocket").status_code == 202
    assert "#2 Antenna" in working.see(working.zoe, "declare project:rocket Antenna")

    assert "acme stays in the cell default." in working.type("move", "acme", "two", "--cancel")
    assert "You commented on #1" in working.see(ada, "comment 1 Is anybody there?")
    assert "acme is in the cell two now." in working.type("move", "acme", "two")
    after = count_rows(working.two, "acme")
    assert after["incident_activity"] == before["incident_activity"] + 1
    assert count_all(working.store) == 0


def test_a_move_that_is_killed_after_its_commit_is_answered_by_the_new_cell_alone(
    working: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, cards = working.cast.ada, list_cards(working)
    with monkeypatch.context() as patch:
        interrupt(patch, queries, "delete_batch", lambda _tx, table, _tenant: table.name == "incident")
        with pytest.raises(Killed):
            working.type("move", "acme", "two")
    working.reconfigure_log()
    assert count_rows(working.store, "acme")["incident"] == count_rows(working.two, "acme")["incident"] == 2
    assert "#3 Search fails" in working.see(ada, "declare project:checkout Search fails")
    assert count_rows(working.store, "acme")["incident"] == 2
    assert count_rows(working.two, "acme")["incident"] == 3
    working.rest()
    assert len(list_cards(working)) == len(cards) + 1
    code, _, errors = working.run("move", "acme", "two", "--cancel")
    working.reconfigure_log()
    assert (code, "run it again" in errors) == (1, True)

    assert "acme is in the cell two now." in working.type("move", "acme", "two")
    assert count_all(working.store) == 0
    with working.store.read() as connection:
        assert not connection.scalar(text("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_moving%'"))
