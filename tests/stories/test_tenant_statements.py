"""What people ask for reads and changes rows of their own organization, as each statement says."""

from __future__ import annotations

from tests.stories.conftest import World
from tests.tenant_statements import watched

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


def test_what_people_ask_for_names_their_organization(world: World) -> None:
    with watched() as watch:
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
