"""The card, its thread, the direct messages and the digest agree with each other, in whatever order things happen.

One incident goes through a chance sequence of everything that changes it, by command, button, form, reaction and alert.
After each step, what people see is compared with a model of a few lines.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from bot.intake.tokens import Source
from sandbox import Person, SeenMessage
from tests.stories.conftest import ORGANIZATION, Deliver, World
from tests.stories.test_calls import PAYMENTS, calls_of, make_calls

STEPS = 12
STARTED_AT = "2026-01-01T00:00:00Z"  # of every firing: without it, a firing after its end by a person is a new one
ALERT = {"dedup_key": "disk-7", "title": "Disk is full", "severity": "critical", "started_at": STARTED_AT}
SIGNS = {"none": ":large_blue_circle:", "warning": ":large_yellow_circle:", "critical": ":red_circle:"}
RESOLVED = ":white_check_mark:"


@dataclass
class Expected:
    """What is true of the incident."""

    severity: str = "critical"
    is_open: bool = True
    is_firing: bool = True  # the alert has not ended since it fired last
    is_closed_by_alert: bool = False
    changes: int = 0  # of status and severity
    owner: str | None = None  # the name; stays when the incident is resolved
    owner_entries: int = 0  # in the thread: of owners, offers and answers to these
    closing: str = ""  # the comment with which it was resolved last
    comments: list[str] = field(default_factory=list)  # of Ben, the newest last
    words: list[str] = field(default_factory=list)  # of all comments, also those of changes, the newest last
    gone: list[str] = field(default_factory=list)  # texts of comments that were edited or deleted
    is_call_waiting: bool = True  # Ben is to be called as soon as nobody owns it
    calls: int = 0  # of Ben

    @property
    def sign(self) -> str:
        return SIGNS[self.severity] if self.is_open else RESOLVED


class Walk:
    """One sequence of changes."""

    def __init__(self, world: World, deliver: Deliver, seed: int) -> None:
        self.world, self.deliver = world, deliver
        self.random = random.Random(seed)
        self.expected = Expected()
        self.steps: list[str] = []
        self.words = 0
        self.end: dict[str, str] = {}  # the delivery with which the alert ended

    def begin(self) -> None:
        """An incident of an alert, which Dan follows, and a digest in its channel."""
        calls = "[{severity: critical, who: ben@acme.test}]"
        organization = ORGANIZATION.replace(PAYMENTS, PAYMENTS.replace("}", f", calls: {calls}}}"))
        self.world.apply(organization.replace("channels: [C0001]", "channels: [C0001], quiet_minutes: 60"))
        self.deliver(Source.EVENTS, ALERT)
        self.world.rest()
        self.world.ask(self.world.dan, "subscribe 1")
        self.world.ask(self.world.ada, 'digest add "weekdays at 9" picture:no')
        self.agree()

    def step(self) -> None:
        """One change that is possible now."""
        possible: list[Callable[[], None]] = [self.comment, self.comment, self.acknowledge, self.report_again]
        if self.expected.comments:
            possible += [self.edit, self.delete]
        if self.expected.is_open:
            possible += [
                self.resolve_by_command,
                self.resolve_by_button,
                self.resolve_by_form,
                self.resolve_by_reaction,
            ]
            possible += [self.change_severity, self.change_severity]
            if self.expected.owner is None:
                possible += [self.take_by_command, self.take_by_button, self.take_by_call]
            else:
                possible += [self.take_over, self.release, self.hand_off, self.hand_off]
            if self.expected.is_firing:
                possible += [self.end_alert, self.end_alert]
        else:
            possible += [self.reopen_by_command, self.reopen_by_button, self.reopen_by_button]
            if self.expected.is_closed_by_alert:
                possible += [self.fire_again, self.fire_again]
        self.world.store.clock.offset += timedelta(minutes=2)  # many messages within a minute would become a summary
        change = self.random.choice(possible)
        self.steps.append(change.__name__)
        change()
        self.agree()

    # --- changes -------------------------------------------------------------------------------------------

    def word(self) -> str:
        self.words += 1
        return f"word{self.words}x"

    def person(self) -> Person:
        return self.random.choice((self.world.ada, self.world.ben, self.world.sue))

    def comment(self) -> None:
        word = self.word()
        self.world.ask(self.world.ben, f"comment 1 {word}")
        self.expected.comments.append(word)
        self.expected.words.append(word)

    def log_with_comment(self) -> SeenMessage:
        """The page of the log that has the newest comment of Ben's."""
        shown = self.world.see(self.world.ben, "activity 1")
        while "Edit" not in shown.buttons:
            before = shown.text
            self.world.ben.press(shown, "Next")
            shown.wait_for(lambda m, before=before: m.text != before)  # type: ignore[misc]
        return shown

    def edit(self) -> None:
        word = self.word()
        self.world.ben.press(self.log_with_comment(), "Edit")
        assert self.world.ben.wait_for_form("Edit #1").fill("Comment", word).submit().closed
        old = self.expected.comments.pop()
        self.expected.gone.append(old)
        self.expected.comments.append(word)
        self.expected.words[self.expected.words.index(old)] = word

    def delete(self) -> None:
        self.world.ben.press(self.log_with_comment(), "Delete")
        old = self.expected.comments.pop()
        self.expected.gone.append(old)
        self.expected.words.remove(old)

    def acknowledge(self) -> None:
        self.world.ask(self.person(), "ack 1")

    def owner_and_another(self) -> tuple[Person, Person]:
        people = {one.name: one for one in (self.world.ada, self.world.ben, self.world.sue)}
        owner = people.pop(str(self.expected.owner))
        return owner, self.random.choice(list(people.values()))

    def take_by_command(self) -> None:
        person = self.person()
        self.world.ask(person, "take 1")
        self.owned_by(person)

    def take_by_button(self) -> None:
        person = self.person()
        person.press(self.card(), "Take it")
        self.owned_by(person)

    def take_by_call(self) -> None:
        """By the message that calls Ben, if one still does."""
        waiting = [one for one in calls_of(self.world.ben) if "I have it" in one.buttons]
        if waiting:
            self.world.ben.press(waiting[-1], "I have it")
            self.owned_by(self.world.ben)

    def owned_by(self, person: Person | None) -> None:
        self.expected.owner = person.name if person else None
        self.expected.owner_entries += 1

    def take_over(self) -> None:
        _, other = self.owner_and_another()
        other.press(self.world.view(other, 1), "Take over")
        self.owned_by(other)

    def release(self) -> None:
        owner, _ = self.owner_and_another()
        self.world.ask(owner, "release 1")
        self.owned_by(None)

    def hand_off(self) -> None:
        owner, other = self.owner_and_another()
        self.world.ask(owner, f"handoff 1 {other.mention}")
        self.world.rest()
        assert f"offered to {other.name}" in self.card().text, self.steps
        offers = [one for one in other.direct_messages() if "asks you to take over" in one.text]
        answer = self.random.choice(("I have it", "Not me"))
        other.press(offers[-1], answer)
        self.expected.owner_entries += 1  # the offer
        self.owned_by(other if answer == "I have it" else owner)
        self.world.rest()
        mine, theirs = ("You took over", "owns") if answer == "I have it" else ("You declined", "declined")
        assert f"{mine} #1 Disk is full." in offers[-1].text and offers[-1].buttons == ["View"], self.steps
        told = [one for one in owner.direct_messages() if f"{other.name} {theirs} #1 Disk is full" in one.text]
        assert told, self.steps

    def resolve_by_command(self) -> None:
        self.resolved(word := self.word())
        self.world.ask(self.person(), f"resolve 1 {word}")

    def resolve_by_button(self) -> None:
        self.resolve_in_form(self.card())

    def resolve_by_form(self) -> None:
        """Of `view`."""
        self.resolve_in_form(None)

    def resolve_in_form(self, shown: SeenMessage | None) -> None:
        person = self.person()
        person.press(shown or self.world.view(person, 1), "Resolve")
        self.resolved(word := self.word())
        assert person.wait_for_form("Resolve #1").fill("Comment", word).submit().closed

    def resolve_by_reaction(self) -> None:
        # A second reaction of the same person would be none.
        self.resolved("")
        card = self.card()
        for person in (self.world.ada, self.world.ben, self.world.sue):
            if person.id in card.reactions.get("white_check_mark", ()):
                person.unreact(card, "white_check_mark")
        self.person().react(card, "white_check_mark")

    def resolved(self, closing: str) -> None:
        self.expected.is_open = self.expected.is_closed_by_alert = self.expected.is_call_waiting = False
        self.expected.closing = closing
        self.expected.words += [closing] if closing else []
        self.expected.changes += 1

    def end_alert(self) -> None:
        self.end = {**ALERT, "status": "resolved", "ended_at": self.world.store.clock.now().isoformat()}
        self.deliver(Source.EVENTS, self.end)
        self.resolved("")
        self.expected.is_firing, self.expected.is_closed_by_alert = False, True

    def report_again(self) -> None:
        """The same firing again, or its end: neither changes anything."""
        self.deliver(Source.EVENTS, ALERT if self.expected.is_firing else self.end)

    def fire_again(self) -> None:
        self.deliver(Source.EVENTS, ALERT)
        self.expected.is_firing, self.expected.severity = True, "critical"  # a new firing has the alert's severity
        self.reopened()

    def reopen_by_command(self) -> None:
        self.world.ask(self.person(), "reopen 1")
        self.reopened()

    def reopen_by_button(self) -> None:
        self.person().press(self.card(), "Reopen")
        self.reopened()

    def reopened(self) -> None:
        self.expected.is_open, self.expected.is_closed_by_alert = True, False
        self.expected.is_call_waiting = self.expected.severity == "critical"
        self.expected.changes += 1

    def change_severity(self) -> None:
        severity = self.random.choice([name for name in SIGNS if name != self.expected.severity])
        self.world.ask(self.person(), f"severity 1 {severity}")
        self.expected.severity = severity
        self.expected.is_call_waiting = severity == "critical"
        self.expected.changes += 1

    # --- what people see -----------------------------------------------------------------------------------

    def card(self) -> SeenMessage:
        shown = [one for one in self.world.slack.messages(self.world.cast.checkout) if "Disk is full" in one.text]
        cards = [one for one in shown if one.from_app and "open incident" not in one.text]
        assert len(cards) == 1, self.steps
        return cards[0]

    def agree(self) -> None:
        """Card, thread, direct messages, `view` and `list` show the same, and it is what is true."""
        make_calls(self.world)
        expected, card = self.expected, self.card()
        self.agree_on_calls(card)
        shown = {"card": card.markup, "view": self.world.view(self.world.ada, 1).markup}
        shown["list"] = self.world.see(self.world.ada, "list all").markup
        messages = [one for one in self.world.dan.direct_messages() if not one.ephemeral]
        # Many changes within a short time are a summary, which is no message about the incident.
        messages = [one for one in messages if "that you follow" not in one.text]
        if messages:
            *older, newest = messages
            shown["direct message"] = newest.markup
            assert ("Reopen" if not expected.is_open else "Resolve") in newest.buttons, self.steps
            assert not any(one.buttons for one in older), self.steps
        for place, text in shown.items():
            assert expected.sign in text, (place, text, self.steps)
            wrong = {sign for sign in (*SIGNS.values(), RESOLVED) if sign != expected.sign and sign in text}
            assert not wrong, (place, text, self.steps)
        assert card.buttons == (["Acknowledge", "Take it", "Resolve"] if expected.is_open else ["Reopen"]), self.steps
        self.agree_on_owner(card, shown)
        if expected.is_open and expected.words:
            assert expected.words[-1] in card.text, (card.text, self.steps)
        if not expected.is_open:
            by = "by its alert" if expected.is_closed_by_alert else "Resolved by"
            assert by in card.text and expected.closing in card.text, (card.text, self.steps)
        thread = [one.text for one in card.thread]
        signs = (*SIGNS.values(), RESOLVED)
        assert sum(text.startswith(signs) for text in thread) == expected.changes, (thread, self.steps)
        owners = sum(text.startswith(":bust_in_silhouette:") for text in thread)
        assert owners == expected.owner_entries, (thread, self.steps)
        everything = "\n".join([*shown.values(), *thread, *(one.markup for one in messages)])
        for word in expected.gone:
            assert word not in everything, (word, everything, self.steps)
        for word in expected.comments:
            assert any(word in text for text in thread), (word, thread, self.steps)

    def agree_on_owner(self, card: SeenMessage, shown: Mapping[str, str]) -> None:
        """Whoever owns it stands on the card and in messages while it is open, and in `view` and `list` always."""
        expected, owner = self.expected, self.expected.owner
        assert "offered to" not in card.text, (card.text, self.steps)
        assert f"*Owner*\n{owner or 'Nobody'}" in shown["view"], (shown["view"], self.steps)
        listed = "owned by you" if owner == self.world.ada.name else f"owned by {owner}"
        assert (listed in shown["list"]) == (owner is not None), (shown["list"], self.steps)
        for place in ("card", "direct message"):
            text = shown.get(place, f"Owned by {owner} since")
            if owner is not None and expected.is_open:
                assert f"Owned by {owner} since" in text, (place, text, self.steps)
            elif place in shown:
                assert "Owned by" not in text, (place, text, self.steps)

    def agree_on_calls(self, card: SeenMessage) -> None:
        """The messages that call Ben show the present state, and they and the thread say how often he was called."""
        expected, owner = self.expected, self.expected.owner
        if expected.is_open and expected.is_call_waiting and owner is None:
            expected.calls += 1
            expected.is_call_waiting = False
        called = calls_of(self.world.ben)
        assert len(called) == expected.calls, (called, self.steps)
        assert sum("Called @Ben Tal" in one.text for one in card.thread) == expected.calls, self.steps
        if called:
            *older, newest = called
            assert all(one.text.startswith("You were called") and not one.buttons for one in older), self.steps
            state = "You own it" if owner == self.world.ben.name else f"Owned by {owner}" if owner else "Nobody owns it"
            assert (state if expected.is_open else "Resolved") in newest.text, (newest.text, self.steps)
            assert ("I have it" in newest.buttons) is (expected.is_open and owner is None), self.steps

    def agree_with_digest(self) -> None:
        """The digest has the incident among the open ones, with its severity, or among those resolved."""
        channel = self.world.cast.checkout
        before = {one.ts for one in self.world.slack.messages(channel)}

        def posted() -> list[SeenMessage]:
            return [one for one in self.world.slack.messages(channel) if one.ts not in before]

        (number,) = re.findall(r"Digest (\d+)", self.world.ask(self.world.ada, "digest list").text)
        self.world.ask(self.world.ada, f"digest now {number}")
        self.world.slack.wait_until(lambda: bool(posted()), what="the digest")
        (digest,) = posted()
        line = f"{SIGNS[self.expected.severity]} *#1 Disk is full*"
        assert (line in digest.markup) == self.expected.is_open, (digest.markup, self.steps)
        is_named = f"owned by {self.expected.owner}" in digest.markup
        assert is_named == (self.expected.is_open and self.expected.owner is not None), (digest.markup, self.steps)


def test_everything_that_people_see_agrees(world: World, deliver: Deliver) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201  # shown if the test fails, to repeat the walk
    walk = Walk(world, deliver, seed)
    walk.begin()
    for _ in range(STEPS):
        walk.step()
    walk.agree_with_digest()
