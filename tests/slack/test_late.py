"""A request that takes longer than Slack waits: somebody is told in time, and the answer follows.

What is slow here is Slack itself, asked who people are of whom nothing is known yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox import Person, SeenMessage
from tests.stories.conftest import IN_BOTH_MODES, ORGANIZATION, World

pytestmark = IN_BOTH_MODES

LATE = "takes longer"
LATE_AFTER_S = 0.2


@pytest.fixture
def slow(world: World) -> tuple[Person, Person]:
    """Two people whom the bot has not met, in a workspace that takes its time."""
    members = "".join(
        f"  - {{email: {name}@acme.test, name: {name.title()}, role: member, teams: [payments]}}\n"
        for name in ("fay", "gus")
    )
    world.apply(ORGANIZATION + members)
    world.declare("Payments fail")
    world.ask(world.ben, "whoami")
    found = (
        world.slack.person("U0011", "Fay", "fay@acme.test"),
        world.slack.person("U0012", "Gus", "gus@acme.test"),
    )
    world.slack.faults.hold("users.info")
    return found


@contextmanager
def hurried(world: World) -> Iterator[None]:
    """What arrives meanwhile is late soon; else, nothing is late however busy the machine is."""
    bot = world.bot
    with pytest.MonkeyPatch.context() as patch:
        if bot.socket:
            patch.setattr(bot.socket._watch, "_seconds", LATE_AFTER_S)
        if bot.http:
            patch.setattr(bot.http, "_deadline_s", LATE_AFTER_S)
        yield


def commented(world: World) -> int:
    return world.see(world.dan, "activity 1").text.count("Ben Tal commented")


def following(world: World, person: Person, sentence: str, shown: SeenMessage | None = None) -> SeenMessage:
    return person.wait_for_message(world.cast.checkout, sentence, after=shown)


@pytest.mark.usefixtures("slow")
def test_a_late_command_is_told_so_and_its_answer_follows(world: World) -> None:
    with hurried(world):
        told = world.ask(world.ben, "comment 1 @fay and @gus please look")
    world.slack.faults.clear()
    assert told.message is not None and LATE in told.text
    assert "please look" in told.text  # the text is not lost, whatever comes of it
    following(world, world.ben, "You commented on #1")
    assert commented(world) == 1
    world.settle()
    # Asked again, it is quick, and counts as another comment of course.
    assert "You commented on #1" in world.ask(world.ben, "comment 1 @fay once more").text


@pytest.mark.usefixtures("slow")
def test_a_late_command_that_is_refused_says_so_when_it_is_known(world: World) -> None:
    world.apply(ORGANIZATION, prune=True)
    with hurried(world):
        told = world.ask(world.ben, "comment 1 @fay and @gus please look")
    world.slack.faults.clear()
    assert LATE in told.text
    following(world, world.ben, "cannot be mentioned")
    assert commented(world) == 0


def test_a_late_form_keeps_its_text_and_says_so(world: World, slow: tuple[Person, Person]) -> None:
    fay, gus = slow
    world.ben.press(world.view(world.ben, 1), "Comment")
    form = world.ben.wait_for_form("Comment #1").fill("Comment", ["ask ", fay, " or ", gus])
    with hurried(world):
        outcome = form.submit()
    world.slack.faults.clear()
    assert LATE in outcome.errors["Comment"]
    assert world.ben.form is not None and "ask" in str(world.ben.form.value("Comment"))
    world.slack.wait_until(lambda: commented(world) == 1, what="the comment is made")
    world.settle()
    # Sent once more, it closes: the same form counts once.
    assert world.ben.wait_for_form("Comment #1").submit().closed
    assert commented(world) == 1


@pytest.mark.production_deadlines("LOCK_TIMEOUT_MS")
def test_a_late_press_is_told_so_and_its_answer_follows(world: World) -> None:
    world.declare("Payments fail")
    shown = world.view(world.ben, 1)
    world.slack.change(world.ben, tz="Europe/Madrid")  # and so he is asked about once more
    world.settle()
    world.slack.faults.hold("users.info")
    with world.store.write() as tx:  # somebody else is at the incident too
        tx.exec_driver_sql("SELECT FROM incident FOR UPDATE")
        with hurried(world):
            world.ben.press(shown, "Acknowledge")
            late = following(world, world.ben, LATE)
        world.slack.faults.clear()
        following(world, world.ben, "Somebody else is changing", late)
    world.ben.press(shown, "Acknowledge")
    shown.wait_for(lambda shown: "You acknowledged #1" in shown.text)
