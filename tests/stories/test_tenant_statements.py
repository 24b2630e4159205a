"""What people ask for, and what workers and commands do, names the organization of each row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stories.conftest import Run, World
from tests.stories.test_digests import add, time_comes, wait_for_post
from tests.stories.test_erasing import WITHOUT_BEN, gone  # noqa: F401 - a fixture
from tests.stories.test_retention import numbers, remove
from tests.tenant_statements import Watch, watched

COMMANDS = (
    "help",
    "whoami",
    "list",
    "list all pay",
    "view 1",
    "ack 1",
    "take 1",
    "release 1",
    "take 1",
    "handoff 1 @ben over to you",
    "comment 1 <@U0002> look at this",
    "comment 1 and another",
    "severity 1 critical",
    "resolve 1 done",
    "reopen 1",
    "activity 1",
    "subscribe 2",
    "unsubscribe 2",
    "notify mentions",
    "oncall",
    "silence list",
    "maintenance project:checkout 2h",
    'digest add "0 9 * * 1-5" tz:Europe/Berlin',
    "digest list",
    "digest now 1",
    "digest pause 1",
    "digest resume 1",
    "digest remove 1",
    'digest me "weekdays at 9"',
    "members",
    "audit",
)


WITHOUT_SEARCH = "".join(line for line in WITHOUT_BEN.splitlines(keepends=True) if "catalogue" not in line)
KEEPS = "workspaces: [T0001], retention: {closed_incidents: 30d, audit: 60d}"


@pytest.fixture
def watch() -> Iterator[Watch]:
    with watched() as watch:
        yield watch


def test_what_people_ask_for_names_their_organization(watch: Watch, world: World) -> None:
    world.declare("Payments fail")
    world.declare("Checkout is slow")
    world.rest()
    for words in COMMANDS:
        world.ask(world.ada, words)
    (posted, _) = world.slack.messages(world.cast.checkout)
    world.ben.press(posted, "Acknowledge")
    world.ben.say(world.cast.checkout, "I am on it", thread=posted)
    world.rest()
    assert not watch.found, "\n".join(watch.found)
    assert {"acknowledging.acknowledge", "activity.insert_activity", "commenting.add_comment"} <= watch.looked_at
    assert len(watch.looked_at) > 60


def test_workers_and_commands_name_the_organization(watch: Watch, gone: World, run: Run) -> None:  # noqa: F811
    gone.apply(WITHOUT_BEN.replace("workspaces: [T0001]", KEEPS))
    digest_id, _ = add(gone, '"hourly" picture:no')
    time_comes(gone, digest_id)
    wait_for_post(gone, gone.cast.checkout, "1 open incident")
    for words in ("begin --incident 1", "list", "end --incident 1"):
        assert run("hold", *words.split())[0] == 0
    gone.ask(gone.ada, "resolve 1")
    gone.declare("Search is slow", options="project:catalogue")
    gone.rest()
    assert run("export", "one.jsonl")[0] == 0
    with gone.store.write() as tx:
        tx.exec_driver_sql("UPDATE incident SET date_closed = date_closed - interval '90 days' WHERE identifier = 1")
    gone.rest()
    remove(gone)
    assert numbers(gone) == [2]
    assert run("import", "one.jsonl")[0] == 0
    assert numbers(gone) == [1, 2]
    assert run("erase", "ben@acme.test")[0] == 0
    gone.apply(WITHOUT_SEARCH, prune=True)
    assert not watch.found, "\n".join(watch.found)
    assert {
        "call_messages.create_calls",
        "digest_contents.count_open",
        "erasing.erase_member",
        "exporting.read_incidents",
        "importing.insert_incidents",
        "leases.lease_destinations",
        "organization._count",
        "retention.delete_incidents",
    } <= watch.looked_at
