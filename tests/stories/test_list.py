"""Listing: what there is, what the filters leave, and turning pages in place."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from sandbox import SeenMessage
from storage.models import Incident, IncidentProject
from storage.values import Status
from tests.stories.conftest import IN_BOTH_MODES, World

pytestmark = IN_BOTH_MODES


def identifiers(message: SeenMessage | None) -> list[int]:
    """The incidents that a list shows, in its order."""
    assert message is not None
    return [int(found) for found in re.findall(r"#(\d+) ", message.text)]


def listed(world: World, words: str, person: str = "ada") -> list[int]:
    return identifiers(world.ask(getattr(world, person), f"list {words}").message)


def dated(world: World, identifier: int, started: datetime, closed: datetime | None = None) -> None:
    """Moves an incident to when a story needs it to have been."""
    with world.store.write() as tx:
        row = tx.execute(
            update(Incident)
            .where(Incident.identifier == identifier)
            .values(date_started=started, date_closed=closed, **({"status": Status.CLOSED} if closed else {}))
            .returning(Incident.id)
        ).one()
        tx.execute(
            update(IncidentProject)
            .where(IncidentProject.incident_id == row.id)
            .values(started=started, **({"status": Status.CLOSED} if closed else {}))
        )


def test_an_empty_list_says_so_in_one_line(world: World) -> None:
    assert world.ask(world.ada, "list").text == ":white_check_mark: No open incidents."


def test_the_list_is_of_what_is_not_resolved_newest_first(world: World) -> None:
    first, second, third = (world.declare(f"Outage {word}") for word in ("one", "two", "three"))
    world.ask(world.ada, f"resolve {second}")
    assert listed(world, "") == [third, first]


def test_each_line_carries_number_title_status_and_a_view_button(world: World) -> None:
    number = world.declare("Payments fail", options="critical project:checkout team:payments env:prod")
    answer = world.ask(world.ben, "list")
    assert f"#{number} Payments fail" in answer.text
    for fact in ("Critical", "Payments", "prod"):
        assert fact in answer.text
    world.ben.press(answer.message, "View", containing=f"#{number}")
    shown = world.ben.wait_for_form("Incident")
    assert f"#{number} Payments fail" in shown.text and "so far" in shown.text
    assert answer.message is not None and "Open incidents" in answer.message.text  # the list is still there


def test_the_list_says_whether_the_reader_has_acknowledged(world: World) -> None:
    world.declare("Search is slow", by=world.sue)
    assert "not acknowledged" not in world.ask(world.sue, "list").text  # who declares has seen it
    assert world.ask(world.sue, "list").text.endswith("Seen by you")
    assert "Seen by 1 person" in world.ask(world.ben, "list").text
    world.ask(world.ben, "ack 1")
    assert "Seen by you and 1 more" in world.ask(world.ben, "list").text
    assert "Seen by 2 people" in world.ask(world.ada, "list").text


def test_view_says_of_a_team_what_filters_find(world: World) -> None:
    world.declare("Payments fail", options="project:checkout")
    world.declare("Refunds fail", options="project:checkout team:payments")
    assert "Team\nUnassigned (project of Payments)" in world.ask(world.ada, "view 1").text
    assert "Team\nPayments" in world.ask(world.ada, "view 2").text
    for team, found in (("unassigned", "#1"), ("payments", "#2")):
        listed = world.ask(world.ada, f"list team:{team}").text
        assert [number for number in ("#1", "#2") if number in listed] == [found]


FILTERS = [
    ("open", [4, 3, 2]),
    ("OPEN", [4, 3, 2]),
    ("all", [4, 3, 2, 1]),
    ("closed", [1]),
    ("Resolved", [1]),
    ("warning", [2]),
    ("critical", [3]),
    ("all redis", [3, 1]),
    ("all REDIS", [3, 1]),
    ("all disk redis", [3]),
    ('all "redis disk"', [3]),
    ("all “redis disk”", [3]),
    ("all\u00a0redis", [3, 1]),
    ("all „redis disk“", [3]),
    ("all %", [4]),
    ("all _", []),
    ("all 100%", [4]),
    ("all \\", []),
    ("all r&d", [4]),
    ("all <x>", [4]),
    ("all 🔥", [4]),
    ("team:payments", [3, 2]),
    ("TEAM:Payments", [3, 2]),
    ("team:payments,search", [3, 2]),
    ('team:"payments,search"', [3, 2]),
    ("team:mine", [3, 2]),
    ("team:unassigned", [4]),
    ("team:unassigned,mine", [4, 3, 2]),
    ("team:payments team:unassigned", [4, 3, 2]),
    ("project:checkout", [4, 3, 2]),
    ("project:catalogue", []),
    ("env:prod", [2]),
    ("env:PROD", [2]),
    ('env:"prod"', [2]),
    ("seen:no", []),
    ("all seen:no", []),
    ("warning redis", []),
    ("critical redis team:mine project:checkout since:1d", [3]),
]


def test_filters_leave_what_they_say(world: World) -> None:
    world.declare("Redis is full")
    world.ask(world.ada, "resolve 1")
    world.declare("Queue stands still", options="warning project:checkout team:payments env:Prod")
    world.declare("Redis disk at 99", options="critical project:checkout team:payments")
    world.declare("R&D <x> at 100% 🔥")
    for words, left in FILTERS:
        assert listed(world, words) == left, words


def test_what_somebody_has_not_acknowledged_yet(world: World) -> None:
    world.declare("One")
    world.declare("Two")
    world.ask(world.ben, "ack 1")
    assert listed(world, "seen:no", "ben") == [2]


def test_since_leaves_out_what_closed_before_and_until_what_started_after(world: World) -> None:
    now = world.store.clock.now()
    for title in ("old and closed", "old and open", "recent"):
        world.declare(title)
    dated(world, 1, now - timedelta(days=20), now - timedelta(days=10))
    dated(world, 2, now - timedelta(days=20))
    assert listed(world, "all since:7d") == [3, 2]
    assert listed(world, "all since:2w") == [3, 2, 1]
    assert listed(world, "all until:7d") == [2, 1]
    assert listed(world, "all since:24h until:1h") == [2]
    assert listed(world, f"all until:{(now - timedelta(days=20)).date() - timedelta(days=1)}") == []


def test_a_date_without_a_zone_is_in_the_zone_of_whoever_asks(world: World) -> None:
    # 23:30 UTC on the last of October is the first of November in Kolkata, and not yet in New York.
    world.declare("Nightly", by=world.dan)
    dated(world, 1, datetime(2025, 10, 31, 23, 30, tzinfo=UTC))
    world.apply(ORGANIZATION_OPEN)
    assert listed(world, "until:2025-10-31", "ben") == [1]
    assert listed(world, "until:2025-10-31", "cyn") == []
    assert listed(world, "until:2025-10-31T23:30Z", "cyn") == [1]
    assert listed(world, "until:2025-11-01T05:00", "cyn") == [1]
    assert listed(world, "until:2025-11-01T04:59", "cyn") == []


ORGANIZATION_OPEN = """
organization: {slug: acme, name: Acme, workspaces: [T0001], open_membership: true}
teams:
  - {slug: payments, name: Payments, slack_usergroup: S0001}
  - {slug: search, name: Search, slack_usergroup: S0002}
projects:
  - {slug: checkout, name: Checkout, teams: [payments], channels: [C0001]}
  - {slug: catalogue, name: Catalogue, teams: [search], channels: [C0002]}
members:
  - {email: ada@acme.test, name: Ada Obi, slack: U0001, role: owner, teams: [payments]}
  - {email: ben@acme.test, name: Ben Tal, role: member, teams: [payments]}
  - {email: cyn@acme.test, name: Cyn Roe, role: member, teams: [search]}
  - {email: dan@acme.test, name: Dan Wu, role: manager}
  - {email: sue@acme.test, name: Sue Perm, role: member, teams: [payments], superuser: true}
"""


def test_pages_turn_in_place_both_ways(world: World) -> None:
    for number in range(1, 26):
        world.declare(f"Outage {number}")
    answer = world.ask(world.ada, "list")
    page = world.shown(answer)
    assert identifiers(page) == list(range(25, 15, -1))
    assert "Next" in page.buttons and "Previous" not in page.buttons
    world.ada.press(page, "Next")
    page.wait_for(lambda page: identifiers(page) == list(range(15, 5, -1)))
    assert {"Next", "Previous"} <= set(page.buttons)
    world.ada.press(page, "Next")
    page.wait_for(lambda page: identifiers(page) == list(range(5, 0, -1)))
    assert "Next" not in page.buttons and "Previous" in page.buttons
    world.ada.press(page, "Previous")
    page.wait_for(lambda page: identifiers(page) == list(range(15, 5, -1)))
    world.ada.press(page, "Previous")
    page.wait_for(lambda page: identifiers(page) == list(range(25, 15, -1)))
    assert "Previous" not in page.buttons
    answers = [message for message in world.ada.sees(world.cast.checkout) if message.ephemeral]
    assert len(answers) == 26  # 25 declarations, and one list in place


def test_turning_pages_keeps_the_filters(world: World) -> None:
    for number in range(12):
        world.declare(f"Cache miss {number}", options="warning project:checkout env:prod")
        world.declare(f"Other {number}")
    page = world.shown(world.ask(world.ada, 'list warning "cache miss" env:prod'))
    assert len(identifiers(page)) == 10
    world.ada.press(page, "Next")
    page.wait_for(lambda page: len(identifiers(page)) == 2)
    assert "Other" not in page.text


def test_new_incidents_do_not_shift_the_pages_that_somebody_is_turning(world: World) -> None:
    for number in range(1, 16):
        world.declare(f"Outage {number}")
    page = world.shown(world.ask(world.ada, "list"))
    for number in range(16, 20):
        world.declare(f"Outage {number}")
    world.ada.press(page, "Next")
    page.wait_for(lambda page: identifiers(page) == [5, 4, 3, 2, 1])
    world.ada.press(page, "Previous")
    page.wait_for(lambda page: identifiers(page) == list(range(15, 5, -1)))
    assert "Previous" in page.buttons  # where the new ones are
    world.ada.press(page, "Previous")
    page.wait_for(lambda page: identifiers(page)[:4] == [19, 18, 17, 16])


def test_a_page_whose_rest_was_resolved_meanwhile_leads_back_to_the_first(world: World) -> None:
    for number in range(1, 12):
        world.declare(f"Outage {number}")
    page = world.shown(world.ask(world.ada, "list"))
    world.ask(world.ada, "resolve 1")
    world.ada.press(page, "Next")
    page.wait_for(lambda page: "page is gone" in page.text)
    assert identifiers(page) == list(range(11, 1, -1))
    assert not {"Previous", "Next"} & set(page.buttons)
