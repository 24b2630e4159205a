"""The digest of one member: what is theirs and what changed, by direct message."""

from __future__ import annotations

from datetime import timedelta

from bot.digests import personal
from sandbox import Person, SeenMessage
from tests.stories.conftest import ORGANIZATION, World


def digests(world: World, person: Person) -> list[SeenMessage]:
    """The digests that somebody got, once the bot has nothing left to do. It may be making one already."""
    now = world.store.clock.now()

    def are_made() -> bool:
        with world.store.read() as connection:
            query = "SELECT NOT EXISTS (SELECT FROM personal_digest WHERE next_fire_at <= %(now)s)"
            return bool(connection.exec_driver_sql(query, {"now": now}).scalar_one())

    world.slack.wait_until(are_made, what="the digests that are due")
    world.rest()
    return [one for one in person.direct_messages() if "of yours" in one.text]


def test_it_shows_what_is_mine_what_mentions_me_and_what_changed(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "take 1")
    world.declare("Cache is cold")
    world.ask(world.ben, "subscribe 2")
    world.declare("Nobody told Ben")
    saved = world.ask(world.ben, 'digest me "weekdays at 9"')
    assert "You get a digest of your own." in saved.text and "weekdays at 9:00 AM (America/New_York)" in saved.text
    assert saved.buttons == ["Pause", "Remove"]
    world.ask(world.ada, "comment 1 the replica lags")
    world.ask(world.ada, "take 2")
    world.ask(world.ada, "resolve 2")
    world.ask(world.ada, f"comment 2 thanks {world.ben.mention}")
    assert "You get your digest as a direct message now." in world.ask(world.ben, "digest now me").text
    (shown,) = digests(world, world.ben)
    assert "1 open incident of yours" in shown.text and "the replica lags" in shown.text
    assert "Mentions of you since" in shown.text and "thanks" in shown.text
    assert "#2 Cache is cold\n1 change of status · 1 change of owner · 1 comment" in shown.text
    assert "Nobody told Ben" not in shown.text
    world.ask(world.ben, "digest now me")
    *_, later = digests(world, world.ben)
    assert "Nothing changed since" in later.text and "Mentions of you" not in later.text
    world.ben.press(later, "View")
    assert "Payments fail" in world.ben.wait_for_form("Incident").text


def test_it_comes_when_it_is_due_and_once(world: World) -> None:
    world.ask(world.ben, 'digest me "daily at 9"')
    world.store.clock.offset += timedelta(days=3)  # nothing ran meanwhile
    for _ in range(2):
        personal.fire_due(world.store, world.store.clock.now())
    assert len(digests(world, world.ben)) == 1
    world.store.clock.offset += timedelta(days=1)
    personal.fire_due(world.store, world.store.clock.now())
    assert len(digests(world, world.ben)) == 2
    assert digests(world, world.ada) == []


def test_only_its_owner_lists_pauses_and_removes_it(world: World) -> None:
    assert "You have no digest of your own." in world.ask(world.ben, "digest me").text
    world.ask(world.ben, 'digest me "weekdays at 9" tz:Europe/Berlin')
    listed = world.ask(world.ben, "digest list")
    assert "Your own digest · weekdays at 9:00 AM (Europe/Berlin), by direct message · next" in listed.text
    assert "Your own digest" not in world.ask(world.ada, "digest list").text
    assert "You have no digest of your own." in world.ask(world.ada, "digest pause me").text
    message = world.shown(listed)
    world.ben.press(message, "Pause")
    world.ben.wait_for_message(world.cast.checkout, containing="You paused your own digest.")
    assert "paused" in world.ask(world.ben, "digest me").text
    world.store.clock.offset += timedelta(days=4)
    personal.fire_due(world.store, world.store.clock.now())
    assert digests(world, world.ben) == []
    assert "You resumed your own digest." in world.ask(world.ben, "digest resume me").text
    assert "You removed your own digest." in world.ask(world.ben, "digest remove me").text
    assert "You have no digest of your own." in world.ask(world.ben, "digest now me").text


def test_a_schedule_that_cannot_be(world: World) -> None:
    for schedule in ("every hour", "daily at 9 and 17", "*/5 * * * *"):
        answer = world.ask(world.ben, f'digest me "{schedule}"').text
        assert "Your own digest can come at most once a day." in answer and schedule in answer
    assert "Your own digest takes no team:." in world.ask(world.ben, 'digest me "daily at 9" team:x').text.replace(
        "`", ""
    )
    assert 'digest me "weekdays at 9"' in world.ask(world.ben, "digest me whenever").text
    assert "You have no digest of your own." in world.ask(world.ben, "digest me").text


def test_it_shows_nothing_that_its_reader_can_no_longer_see(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "subscribe 1")
    world.ask(world.ben, 'digest me "daily at 9"')
    world.ask(world.ada, f"comment 1 thanks {world.ben.mention}")
    world.rest()
    world.apply(
        ORGANIZATION.replace("name: Ben Tal, role: member, teams: [payments]", "name: Ben Tal, role: member"),
        prune=True,
    )
    world.ask(world.ben, "digest now me")
    (shown,) = digests(world, world.ben)
    assert "No open incidents of yours" in shown.text and "Payments" not in shown.text
