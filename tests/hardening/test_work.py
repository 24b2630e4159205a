"""Whatever is typed, however long: the work grows with its length and no faster.

Forty thousand characters are as many as Slack lets anybody type; without TOCSIN_LONG_TESTS less has to show what grows
faster: a loop within a loop is seen if it runs a line for each thousand pairs of characters. Work is counted in lines
of Python that are run; what regular expressions do does not show in that, and has a test of its own (`test_regexes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from slack_bolt import BoltResponse

from bot.handlers.verb import Registry
from bot.slack.listeners import Headers
from storage.queries.destinations import ensure_destination
from tests.hardening.rig import Rig, Shown, Somebody
from tests.hardening.work import lines_run
from tests.long import LONG

LENGTH = 40_000 if LONG else 6_000
TOO_LONG = 4 * 9_000  # a quarter of it is more than a comment may have
# What does not depend on the length may take so many lines more or less from one time to the next.
CONSTANT = 3_000

ADA, BEN = Somebody("U0001"), Somebody("U0002")

# What parts, opens, closes or begins something for one of the parsers, and some combinations of them.
UNITS = (
    *(" ", "\t", "\n", "\u00a0", "\u3000", "a", "a ", "1", "1 ", "é", "e\u0301", "ß", "日本", "🔥 "),
    *('"', "'", "“", "”", "„", "«", "»", "‘", "’", '"a" ', "'a ", '" ', "“a", "a’ "),
    *(",", "a,", ", ", ":", "a:", "::", "a: ", "team:a ", "team:a,", "since:1d ", "env:a ", "tz:", "x:1 ", "://"),
    *("*", "* ", "*/", "1-", "-", "1,", "0 9 ", "at ", "at 9 ", "every ", "and ", "mon-", "on the 1st ", "9:30, ", "@"),
    *("@a ", "@ada ", "@ada obi ", "@a.", "a@", "`", "`a` ", "`a` @a ", "```", "``` ", "```a``` @ben ", "http://a "),
    *("<", ">", "<@", "<@U0001> ", "<@U0002|ben> ", "<!subteam^S0001> ", "<!here> ", "<!", "<#C0001|a> ", "<#", "|"),
    *("<http://a|", "<http://a|b> ", "<mailto:a@b|a@b> ", "<a:", "&", "&amp;", "&lt;", "#", "#1 ", ".", "a.", "/"),
    *("\\", "_a_ ", "*a* ", "~", ":eyes: ", "{", "[", "(", "=", "\x00", "\ufeff", "١ ", "² "),
)

# The commands with a reader of their own for what follows, and with every unit.
READERS = ("", "list ", "declare ", "comment 1 ", "digest add ")
# All the others, with a few.
OTHERS = (
    *("x", "help ", 'list "', "list team:", "list project:", "list env:", "list since:", "list until:", "list seen:"),
    *("list following:", "view ", "#", "ack ", "resolve ", "resolve 1 ", "reopen 1 ", "severity 1 ", "comment "),
    *("severity 1 critical ", "activity ", "subscribe ", "unsubscribe ", "notify ", "declare critical project:"),
    *("declare project:checkout team:", "declare project:checkout env:", "declare project:checkout ", "digest "),
    *('digest add "', 'digest add "0 9 * * *" tz:', 'digest add "weekdays at 9" ', "digest add hourly empty:"),
    *("digest add weekdays at 9 ", "digest now ", "digest pause ", "whoami "),
)
FEW = (" ", "a", "a ", '"', "'a ", ",", "team:a ", "@ada ", "`a` @a ", "<@U0001> ", "<", "1-", "at 9 ")


INPUT = {
    "type": "input",
    "block_id": "comment",
    "label": {"type": "plain_text", "text": "Comment"},
    "element": {"type": "plain_text_input", "action_id": "comment"},
}
# The fields of each form that takes words, with what may stand in them.
FIELDS: Mapping[str, Mapping[str, str]] = {
    "declare": {"title": "Pay", "severity": "open", "project": "checkout", "team": "payments", "env": "prod"},
    "list_filter": {"words": "", "team": "", "env": "", "since": "", "until": "", "project": "checkout"},
    "digest": {
        "channel": "C0001",
        "schedule": "weekdays at 9",
        "zone": "UTC",
        "show": "open",
        "words": "",
        "project": "checkout",
        "team": "payments",
        "env": "prod",
        "owner": "none",
        "until": "7d",
    },
    "add_to_incident": {"incident": "1"},
}


def section(*elements: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def words(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text[place : place + 2]} for place in range(0, len(text), 2)]


RICH: Mapping[str, Callable[[str], list[dict[str, Any]]]] = {
    "text": lambda text: [section({"type": "text", "text": text})],
    "link": lambda text: [section({"type": "link", "url": "https://a/" + text, "text": text})],
    "emoji": lambda text: [section({"type": "emoji", "name": text})],
    "elements": lambda text: [section(*words(text))],
    "sections": lambda text: [section(word) for word in words(text)],
    "code": lambda text: [{"type": "rich_text_preformatted", "elements": words(text)}],
}


def filled(text: str) -> dict[str, Any]:
    """A field that holds a text, whatever kind of field it is."""
    option = {"value": text, "text": {"type": "plain_text", "text": "An option"}}
    chosen = {"selected_option": option, "selected_options": [option], "selected_conversation": text}
    return {"type": "any", "value": text, **chosen}


class Counted:
    """A rig whose requests are counted."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.work = 0
        self._number = 1000
        self._dispatch = rig.bot.listeners.dispatch
        rig.bot.listeners.dispatch = self._counted  # type: ignore[method-assign]

    def next(self) -> int:
        """Another number each time."""
        self._number += 1
        return self._number

    def card(self) -> str:
        """The card of #1 in #checkout, as if it had been posted."""
        with self.rig.store.write() as tx:
            destination_id = ensure_destination(tx, "T0001", now=self.rig.store.clock.now(), channel_id="C0001")
            tx.exec_driver_sql(
                "INSERT INTO post (destination_id, kind, incident_id, ts, drawn_version)"
                " SELECT %(id)s, 'card', i.id, '77.1', 1 FROM incident i WHERE i.identifier = 1",
                {"id": destination_id},
            )
        return "77.1"

    def _counted(self, body: Mapping[str, Any], headers: Headers | None = None) -> BoltResponse:
        answered: list[BoltResponse] = []
        self.work = lines_run(lambda: answered.append(self._dispatch(body, headers)))
        return answered[0]

    def grows_with_length(
        self, ask: Callable[[str], object], units: Sequence[str] = UNITS, prefix: str = "", most: int = LENGTH
    ) -> None:
        """Asks with each unit over and over, for two lengths. Raises AssertionError."""
        for unit in units:
            for _ in range(3):  # a request that opens a connection takes more, by chance
                works = []
                for length in (most // 4, most):
                    ask(prefix + unit * (length // len(unit)))
                    works.append(self.work)
                short, long = works
                if long <= 4 * short + CONSTANT:
                    break
            else:
                raise AssertionError(f"{prefix!r} {unit!r}: {short:,} and {long:,}")


@pytest.fixture
def counted(rig: Rig) -> Counted:
    rig.command(ADA, "declare project:checkout Pay")
    rig.command(ADA, "comment 1 by Ada")
    return Counted(rig)


@pytest.mark.parametrize("prefix", READERS)
def test_a_command_with_a_reader_of_its_own(counted: Counted, prefix: str) -> None:
    counted.grows_with_length(lambda text: counted.rig.command(ADA, text), UNITS, prefix)


def test_any_other_command(counted: Counted) -> None:
    for prefix in OTHERS:
        counted.grows_with_length(lambda text: counted.rig.command(ADA, text), FEW, prefix)


def test_a_command_with_too_much_text_that_is_given_back(counted: Counted) -> None:
    counted.grows_with_length(lambda text: counted.rig.command(ADA, text), ("a", "@ada ", "<"), "comment 1 ", TOO_LONG)


def test_what_is_said_to_the_bot(counted: Counted) -> None:
    def mention(text: str) -> None:
        event = {"type": "app_mention", "text": f"<@{counted.rig.slack.bot_user_id}> {text}", "channel": "C0001"}
        counted.rig.event(ADA, {**event, "ts": f"{counted.next()}.1"})

    counted.grows_with_length(mention, FEW)


def test_a_reply_in_a_thread(counted: Counted) -> None:
    card = counted.card()

    def reply(text: str) -> None:
        event = {"type": "message", "channel_type": "channel", "channel": "C0001", "thread_ts": card, "text": text}
        counted.rig.event(ADA, {**event, "ts": f"{counted.next()}.1"})

    counted.grows_with_length(reply)
    with counted.rig.store.read() as connection:  # and they were read as replies
        assert connection.exec_driver_sql("SELECT count(*) FROM thread_reply").scalar_one() > 0


@pytest.mark.parametrize("kind", ["text", "link", "emoji", "elements", "sections", "code"])
def test_a_rich_text(counted: Counted, kind: str) -> None:
    counted.rig.command(ADA, "view 1")
    view = {"callback_id": "comment", "private_metadata": '{"n":1,"s":"message"}', "blocks": [INPUT]}

    def submit(text: str) -> None:
        block = {"type": "rich_text", "elements": RICH[kind](text)}
        counted.rig.submit(ADA, view, {"comment": {"type": "rich_text_input", "rich_text_value": block}})

    counted.grows_with_length(submit, UNITS if kind == "text" else FEW)


@pytest.mark.parametrize("form", sorted(FIELDS))
def test_a_form(counted: Counted, form: str) -> None:
    blocks = [{**INPUT, "block_id": block_id} for block_id in FIELDS[form]]
    view = {"callback_id": form, "private_metadata": "{}", "blocks": blocks}
    good = FIELDS[form]
    for field in good:

        def submit(text: str, field: str = field) -> None:
            values = {block_id: filled(text if block_id == field else value) for block_id, value in good.items()}
            counted.rig.submit(ADA, view, values)

        counted.grows_with_length(submit, FEW)


@pytest.mark.parametrize("menu", ["incident", "project", "team", "pick_view"])
def test_what_is_typed_into_a_menu(counted: Counted, menu: str) -> None:
    counted.grows_with_length(lambda text: counted.rig.suggest(ADA, menu, text), FEW)


def test_a_message_that_is_added_to_an_incident(counted: Counted) -> None:
    def add(text: str) -> None:
        counted.rig.shortcut(ADA, "add_to_incident", {"ts": "1.1", "user": "U0002", "text": text})

    counted.grows_with_length(add)


def test_the_value_of_a_button(counted: Counted) -> None:
    shown = Shown("ephemeral", {}, "C0001", "1.1")
    for action in sorted(Registry.collect().buttons):

        def press(text: str, action: str = action) -> None:
            counted.rig.press(ADA, shown, {"action_id": action}, {"value": text})

        try:
            counted.grows_with_length(press, (" ", "1", ":", "a ", '"a" '))
        except AssertionError as error:
            error.add_note(f"of the button {action}")
            raise


def test_who_may_make_no_digest_is_told_so_before_anything_is_read(counted: Counted) -> None:
    works = []
    for length in (1, LENGTH // 2):
        got = counted.rig.command(BEN, "digest add " + "a " * length)
        assert "Only admins, managers and owners of the organization can create digests" in got.told
        works.append(counted.work)
    assert works[1] <= works[0] + CONSTANT
