"""A replica of a newer version beside this one: what only the newer one knows is left for it, and holds up nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.engine import Store
from storage.queries import outbox
from storage.queries.destinations import ensure_destination
from storage.values import PostKind
from tests.changes import change
from tests.stories.conftest import World

# What the newer version's migration has allowed, and this one's has not.
CHECKS = {"ck_post_kind_known": "post", "ck_incident_activity_type_known": "incident_activity"}


@pytest.fixture
def newer(store: Store) -> Iterator[None]:
    """The database as the newer version has migrated it."""
    with store.write() as tx:
        kept = {
            name: tx.exec_driver_sql(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %(name)s", {"name": name}
            ).scalar_one()
            for name in CHECKS
        }
        for name, table in CHECKS.items():
            tx.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    yield
    with store.write() as tx:
        tx.exec_driver_sql("DELETE FROM post")
        tx.exec_driver_sql("DELETE FROM incident_activity")
        for name, table in CHECKS.items():
            tx.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {kept[name]}")


def number(world: World, question: str, **values: int) -> int:
    with world.store.read() as connection:
        return int(connection.exec_driver_sql(question, values).scalar_one())


@pytest.mark.usefixtures("newer")
@pytest.mark.parametrize(
    ("kind", "message"),
    [("escalation", '{"text": "what the newer one says"}'), ("escalation", None), ("note", None)],
    ids=["unknown kind", "unknown kind without a message", "known kind, in a new form"],
)
def test_a_post_of_an_unknown_kind_is_left_for_a_replica_that_knows_it(
    world: World, kind: str, message: str | None
) -> None:
    world.ask(world.ben, "whoami")
    with world.store.write() as tx:
        destination_id = ensure_destination(tx, "T0001", now=world.store.clock.now(), user_id="U0002")
        tx.exec_driver_sql(
            "INSERT INTO post (destination_id, kind, urgency, key, message, date_added)"
            " VALUES (%(id)s, %(kind)s, 0, 'of the future', %(message)s, now() - interval '1 h')",
            {"id": destination_id, "kind": kind, "message": message},
        )
        outbox.enqueue(
            tx,
            workspace_id="T0001",
            user_id="U0002",
            kind=PostKind.NOTE,
            key="a note",
            now=world.store.clock.now(),
            message={"text": "A note for you"},
        )
    world.ben.wait_for_message(containing="A note for you")
    world.slack.wait_until(
        lambda: number(world, "SELECT count(*) FROM post WHERE key = 'of the future' AND due_at > now()") == 1,
        what="the unknown post is put off",
    )
    assert [message.text for message in world.ben.direct_messages()] == ["A note for you"]
    untouched = (
        "SELECT count(*) FROM post WHERE key = 'of the future' AND wanted_version > drawn_version"
        " AND ts IS NULL AND attempts = 0 AND date_done IS NULL"
    )
    assert number(world, untouched) == 1
    # And its destination is looked at again, so that whoever knows it can take it.
    looked_at = "SELECT count(*) FROM destination WHERE id = %(id)s AND due_at IS NOT NULL"
    assert number(world, looked_at, id=destination_id) == 1


@pytest.mark.usefixtures("newer")
def test_a_post_of_an_unknown_kind_waits_on_where_nothing_else_can_arrive(world: World) -> None:
    world.declare("Pay")
    world.rest()
    world.slack.archive(world.cast.checkout)
    world.slack.settle()
    with world.store.write() as tx:
        destination_id = ensure_destination(tx, "T0001", now=world.store.clock.now(), channel_id="C0001")
        tx.exec_driver_sql(
            "INSERT INTO post (destination_id, kind, urgency, key, attempted_at, attempts, after_ts, date_added)"
            " VALUES (%(id)s, 'escalation', 3, 'of the future', now() - interval '1 h', 1, '1.0', now())",
            {"id": destination_id},
        )
    world.ask(world.ada, "resolve 1", channel=world.cast.random)
    world.slack.wait_until(
        lambda: number(world, "SELECT count(*) FROM post WHERE kind = 'card' AND failed_reason IS NOT NULL") == 1,
        what="the card is given up",
    )
    # The newer replica began to post it: to look for it, and to give it up, is also the newer one's.
    untouched = (
        "SELECT count(*) FROM post WHERE key = 'of the future' AND wanted_version > drawn_version"
        " AND attempted_at IS NOT NULL AND attempts = 1 AND failed_reason IS NULL"
    )
    assert number(world, untouched) == 1
    assert not world.slack.calls("conversations.history")
    assert number(world, "SELECT count(*) FROM destination WHERE id = %(id)s AND due_at IS NOT NULL", id=destination_id)


@pytest.mark.usefixtures("newer")
def test_a_change_of_an_unknown_kind_is_left_for_a_replica_that_knows_it(world: World) -> None:
    world.declare("Pay")
    world.ask(world.ben, "subscribe 1")
    world.rest()
    with world.store.write() as tx:
        organization_id, incident_id, activity_id = tx.exec_driver_sql(
            "INSERT INTO incident_activity (incident_id, type, date_added) SELECT id, 199, now() FROM incident"
            " RETURNING organization_id, incident_id, id"
        ).one()
        outbox.record_change(tx, organization_id, incident_id, activity_id, now=world.store.clock.now())
    world.ask(world.ada, "comment 1 still burning")
    world.ben.wait_for_message(containing="still burning")
    world.slack.wait_until(
        lambda: number(world, "SELECT count(*) FROM outbox WHERE failures > 0 AND retry_at > now()") == 1,
        what="the unknown change is put off",
    )
    assert number(world, "SELECT activity_id FROM outbox") == activity_id
    assert len(world.ben.direct_messages()) == 1


@pytest.mark.usefixtures("newer")
def test_a_comment_does_not_wait_for_an_entry_that_only_a_newer_replica_can_show(world: World) -> None:
    world.declare("Pay")
    world.rest()
    change(
        world.store,
        "UPDATE destination SET due_at = now()",
        "WITH entry AS (INSERT INTO incident_activity (incident_id, type, date_added)"
        "  SELECT id, 199, now() FROM incident RETURNING incident_id, id)"
        " INSERT INTO post (destination_id, kind, incident_id, activity_id, card_id, urgency, due_at, date_added)"
        " SELECT destination_id, 'mirror', incident_id, entry.id, post.id, 0, now(), now()"
        " FROM entry JOIN post USING (incident_id)",
    )
    world.ask(world.ada, "comment 1 still burning")
    channel = world.cast.checkout
    world.slack.wait_until(
        lambda: any("still burning" in reply.text for card in world.slack.messages(channel) for reply in card.thread),
        what="the comment in the thread",
    )
    waiting = "SELECT count(*) FROM post WHERE kind = 'mirror' AND wanted_version > drawn_version AND attempts = 0"
    assert number(world, waiting) == 1


@pytest.mark.usefixtures("newer")
def test_an_entry_of_an_unknown_kind_is_left_out_where_people_read(world: World) -> None:
    world.declare("Pay")
    world.ask(world.ben, "comment 1 looking into it")
    world.rest()
    with world.store.write() as tx:
        tx.exec_driver_sql(
            "INSERT INTO incident_activity (incident_id, type, comment, date_added)"
            " SELECT id, 199, 'what the newer one says', now() FROM incident"
        )
        organization_id, incident_id = tx.exec_driver_sql("SELECT organization_id, id FROM incident").one()
        outbox.record_change(tx, organization_id, incident_id, now=world.store.clock.now())
    world.rest()
    card = world.slack.messages(world.cast.checkout)[-1]
    for shown in (card.text, world.seen_by(world.ada, 1), world.ask(world.ada, "activity 1").text):
        assert "looking into it" in shown
        assert "newer one" not in shown
