"""What delivery forgets, now and then, and what it must not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from bot.delivery import service
from bot.delivery.service import ALERTS_KEPT_FOR, KEPT_FOR
from storage.engine import Store
from storage.errors import AlreadyHandled
from storage.queries import handled_requests
from tests.changes import change
from tests.stories.conftest import World
from tests.stories.test_cards import card, cards


def kinds(world: World) -> dict[str, int]:
    """How many posts of each kind are remembered."""
    with world.store.read() as connection:
        found: dict[str, int] = dict(connection.exec_driver_sql("SELECT kind, count(*) FROM post GROUP BY kind").all())
    return found


def test_what_was_sent_long_ago_is_forgotten_and_what_is_shown_is_kept(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ada, "comment 1 @ben look")
    world.rest()
    remembered = kinds(world)
    assert remembered == {"card": 1, "mirror": 1, "newest": 1}
    now = world.store.clock.now()
    world.bot.delivery.clean_up(now + KEPT_FOR - timedelta(minutes=1))
    assert kinds(world) == remembered
    change(world.store, "UPDATE post SET date_added = date_added - interval '1 year'")
    limit = world.slack.faults.rate_limit("chat.postMessage", retry_after=1, times=None)
    world.ask(world.ada, "comment 1 @sue and you")
    world.slack.wait_until(lambda: kinds(world).get("notification") == 2)  # Ben's too
    world.bot.delivery.clean_up(now + KEPT_FOR + timedelta(minutes=1))
    world.slack.faults.remove(limit)
    world.rest()
    assert [("look" in m.text, "and you" in m.text) for m in world.ben.direct_messages()] == [
        (True, False),
        (False, True),
    ]
    assert len(world.sue.direct_messages()) == 1
    # What is shown follows what happens next, in its place.
    world.ask(world.ada, "resolve 1 done")
    card(world).wait_for(lambda m: "Resolved by" in m.text)
    world.rest()
    assert len(cards(world)) == 1
    assert len(card(world).thread) == 3


def test_forms_and_events_are_remembered_for_as_long_as_they_may_come_again(world: World) -> None:
    def first(key: str) -> bool:
        try:
            with world.store.write() as tx:
                handled_requests.record_once(tx, "T0001", key, world.store.clock.now())
        except AlreadyHandled:
            return False
        return True

    assert first("a form")
    now = world.store.clock.now()
    world.bot.delivery.clean_up(now + handled_requests.KEPT_FOR - timedelta(minutes=1))
    assert not first("a form")
    world.bot.delivery.clean_up(now + handled_requests.KEPT_FOR + timedelta(minutes=1))
    assert first("a form")


def test_a_channel_that_opened_unheard_is_tried_again(world: World) -> None:
    world.slack.archive(world.cast.checkout)
    world.slack.settle()
    world.ask(world.ada, "declare project:checkout Payments fail", channel=world.cast.random)
    world.rest()
    with world.slack.events_held() as held:
        world.slack.unarchive(world.cast.checkout)
        held.release([])  # lost
    world.bot.delivery.clean_up(world.store.clock.now())
    world.rest()
    assert not cards(world)
    change(world.store, "UPDATE destination SET failed_at = failed_at - interval '1 hour'")
    world.bot.delivery.clean_up(world.store.clock.now())
    world.rest()
    assert len(cards(world)) == 1


# Rows of each kind that is cleaned, all of them old enough.
OLD = """
INSERT INTO handled_request (workspace_id, key, date_added)
SELECT 'T0001', 'event:' || n, %(at)s FROM generate_series(1, %(count)s) n;
INSERT INTO alert_memory (organization_id, dedup_key, heard)
SELECT o.id, 'alert-' || n, %(at)s FROM organization o, generate_series(1, %(count)s) n;
INSERT INTO form_text (organization_id, member_id, text, date_added)
SELECT m.organization_id, m.id, 'typed', %(at)s FROM member m, generate_series(1, %(count)s) n
WHERE m.slack_user_id = 'U0001';
INSERT INTO destination (workspace_id, channel_id) VALUES ('T0001', 'C0003');
INSERT INTO post (destination_id, kind, drawn_version, date_done)
SELECT d.id, 'note', 1, %(at)s FROM destination d, generate_series(1, %(count)s) n WHERE d.channel_id = 'C0003';
"""
LEFT = """
SELECT (SELECT count(*) FROM handled_request), (SELECT count(*) FROM form_text), (SELECT count(*) FROM alert_memory),
       (SELECT count(*) FROM post)
"""


def fill(store: Store, count: int) -> None:
    """So many old rows of each kind."""
    with store.write() as tx:
        long_ago = store.clock.now() - ALERTS_KEPT_FOR - KEPT_FOR
        tx.exec_driver_sql(OLD, {"at": long_ago, "count": count})


def test_everything_is_cleaned_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is, no statement comes near its time-out."""
    monkeypatch.setattr(service, "_CLEAN_AT_ONCE", 10)
    fill(world.store, 25)
    delivery = world.bot.delivery
    removed: list[int] = []
    engine = delivery._store._reading
    event.listen(
        engine,
        "after_cursor_execute",
        lambda _connection, cursor, statement, *_: removed.append(cursor.rowcount) if "DELETE" in statement else None,
    )
    delivery.clean_up(world.store.clock.now())
    assert removed == [10, 10, 5] * 4
    with world.store.read() as connection:
        assert connection.exec_driver_sql(LEFT).one() == (0, 0, 0, 0)


@pytest.mark.parametrize("table", ["handled_request", "form_text", "alert_memory", "post"])
def test_what_is_old_is_found_by_an_index(world: World, table: str) -> None:
    """Where nearly nothing is old, nearly nothing is read."""
    fill(world.store, 5000)
    date = {"alert_memory": "heard", "post": "date_done"}.get(table, "date_added")
    plans: list[str] = []
    with world.store.write() as tx:
        tx.exec_driver_sql(f"UPDATE {table} SET {date} = now()")  # noqa: S608
        tx.exec_driver_sql(f"ANALYZE {table}")

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().startswith("DELETE"):
            plans.extend(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())

    event.listen(world.bot.delivery._store._reading, "before_cursor_execute", explain)
    world.bot.delivery.clean_up(world.store.clock.now())
    plan = "\n".join(line for line in plans if f" on {table}" in line)
    assert plan and "Seq Scan" not in plan, plan
