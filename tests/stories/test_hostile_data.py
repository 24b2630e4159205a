"""Whatever the data, what is shown is a message that Slack takes and a person can read.

The sandbox judges every message and form as Slack does; the world fails a story in which one was refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from bot.intake.tokens import Source
from bot.messages.blocks import link_urls
from sandbox.records import Json
from storage.models import Incident, IncidentProject, IncidentSeen, Member, Project, Team
from tests.stories.conftest import ORGANIZATION, Deliver, World

TITLES = [
    "&" * 255,
    "<" * 255,
    "*" * 255,
    "🔥" * 255,
    "<!channel> <@U0001> <https://evil.test|click>",
    "```code``` `x` *b* _i_ ~s~ > quote",
    ":fire: &amp; &lt;b&gt;",
    "\u202eright to left",
    "a" * 255,
    "x|y|z <http://x|y>",
]


@pytest.mark.parametrize("length", [1, 10])
def test_titles_of_every_kind_are_shown_everywhere(world: World, length: int) -> None:
    for number, title in enumerate(TITLES[-length:], 1):
        world.ask(world.ada, f"declare critical team:payments env:{'&' * 64} {title}")
        for words in (f"ack {number}", f"comment {number} {title}", f"severity {number} warning {title}", f"{number}"):
            assert f"#{number} " in world.ask(world.ada, words).text
        for label in ("Comment", "Resolve"):
            world.ada.press(world.view(world.ada, number), label)
            form = world.ada.wait_for_form(f"{label} #{number}")
            assert form.fill("Comment", title).submit().closed
        for words in (f"activity {number}", f"resolve {number}", f"reopen {number}"):
            assert f"#{number} " in world.ask(world.ada, words).text
    for words in ("list all", "list", "list closed", "list all 🔥", "list all &&&"):
        assert world.ask(world.ada, words).text
    world.settle()
    assert "<!channel>" not in "".join(message.markup for message in world.ada.sees(world.cast.checkout))


def test_a_title_calls_nobody_and_links_nowhere(world: World) -> None:
    world.ask(world.ada, f"declare {TITLES[4]}")
    shown = world.view(world.ben, 1)
    for mark in ("<!channel>", "<@U0001>", "<https://evil.test|click>"):
        assert mark not in shown.markup


def test_slack_links_nothing_in_what_is_drawn_by_itself(world: World) -> None:
    """Left to itself Slack makes links of `#general`, names and addresses in a text that is not said to be verbatim."""
    world.declare("@here #general https://evil.test is down")
    world.ask(world.ada, "comment 1 @channel look at #general")
    for words in ("list", "1", "activity 1", "whoami", "help", "ack", "nonsense", "resolve 1 done", "digest list"):
        world.ask(world.ada, words)
    world.ada.press(world.view(world.ada, 1), "Comment")
    world.ada.opens_home()
    world.ada.wait_for_home("Acme")
    world.rest()

    def texts(value: object) -> Iterator[Json]:
        if isinstance(value, dict):
            if value.get("type") == "mrkdwn":
                yield value
            for inner in value.values():
                yield from texts(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from texts(inner)

    drawn = [one for exchange in world.slack.traffic for one in texts([exchange.answer, arguments(exchange.sent)])]
    assert len(drawn) > 50 and all(one.get("verbatim") is True for one in drawn)


def arguments(sent: Json) -> Json:
    """What a call carries; blocks, attachments and views may be JSON in a form."""
    found = dict(sent)
    for name in ("blocks", "attachments", "view"):
        if isinstance(found.get(name), str):
            found[name] = json.loads(found[name])
    return found


def test_addresses_in_comments_and_in_what_an_alert_says_are_links(world: World, deliver: Deliver) -> None:
    labels = {"alertname": "https://title.test fails"}
    alert = {"status": "firing", "labels": labels, "fingerprint": "f", "values": {"https://run.test/a?b=1&c": 2}}
    assert deliver(Source.GRAFANA, {"alerts": [alert]}).status_code == 202
    shown = world.view(world.ada, 1)
    assert "<https://run.test/a?b=1&amp;c> = 2" in shown.markup and "<https://title.test" not in shown.markup
    world.ask(world.ada, "comment 1 see https://status.test/1, `https://code.test`")
    assert "<https://status.test/1>" in world.view(world.ada, 1).markup


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("see https://a.test/x?y=1&amp;z=2.", "see <https://a.test/x?y=1&amp;z=2>."),
        ("(http://a.test)", "(<http://a.test>)"),
        ("<https://a.test|https://b.test>", "<https://a.test|https://b.test>"),
        ("`https://a.test` ```https://b.test```", "`https://a.test` ```https://b.test```"),
        ("https://a.test&gt;https://b.test&lt;", "<https://a.test>&gt;<https://b.test>&lt;"),
        ("xhttps://a.test https:// ftp://a.test", "xhttps://a.test https:// ftp://a.test"),
        ("https://a.test|b", "<https://a.test>|b"),
        ("https://" + "a" * 4000, "https://" + "a" * 4000),
    ],
)
def test_what_is_a_link_in_a_text(text: str, wanted: str) -> None:
    assert link_urls(text) == wanted


def test_names_with_markup_are_names(world: World) -> None:
    name = "<!here> *Bob* & `co` " + "x" * 55
    world.apply(
        ORGANIZATION.replace("name: Ben Tal", f"name: '{name}'")
        .replace("name: Payments", f"name: '{name}'")
        .replace("name: Acme,", f"name: '{name}',")
    )
    world.ask(world.ben, "declare team:payments Payments fail")
    world.ask(world.ada, "comment 1 @ben and @payments")
    world.ask(world.ben, "comment 1 mine")
    for words in ("1", "activity 1", "list", "whoami", "comment 1 @cyn"):
        answer = world.ask(world.ben, words)
        assert answer.message is not None and "<!here>" not in answer.message.markup, words
    assert "<!here> *Bob* & `co`" in world.view(world.ada, 1).text


def test_an_incident_of_fifty_projects_seen_by_two_hundred_people(world: World) -> None:
    world.declare("Everything is down")
    with world.store.write() as tx:
        organization, incident = tx.execute(select(Incident.organization_id, Incident.id)).one()
        now = world.store.clock.now()
        numbers = range(50)
        projects = tx.scalars(
            insert(Project).returning(Project.id),
            [
                {
                    "organization_id": organization,
                    "slug": f"project-{n}-" + "x" * 40,
                    "name": f"Project {n} " + "&" * 69,
                }
                for n in numbers
            ],
        ).all()
        tx.execute(
            insert(IncidentProject),
            [
                {"incident_id": incident, "project_id": project, "started": now, "status": 1, "team_id": 0}
                for project in projects
            ],
        )
        tx.execute(
            insert(Team), [{"organization_id": organization, "slug": f"team-{n}", "name": "<" * 80} for n in numbers]
        )
        members = tx.scalars(
            insert(Member).returning(Member.id, sort_by_parameter_order=True),
            [
                {"organization_id": organization, "email": f"m{n}@acme.test", "name": "&" * 100, "role": "member"}
                for n in range(200)
            ],
        ).all()
        tx.execute(
            insert(IncidentSeen),
            [
                {"incident_id": incident, "member_id": member, "last_seen": now - timedelta(minutes=minutes)}
                for minutes, member in enumerate(members, 1)
            ],
        )
    answer = world.ask(world.dan, "1")
    assert "Project 0 &" in answer.text and "more" in answer.text
    assert "200" in world.ask(world.dan, "list").text or "201" in world.ask(world.dan, "list").text
    for words in ("whoami", "list project:nope", "list team:nope", "declare project:nope Slow"):
        assert world.ask(world.dan, words, channel=world.cast.random).text
    world.ask(world.dan, "declare Slow", channel=world.cast.random)  # which of fifty is asked for in a form
    form = world.dan.wait_for_form("Declare an incident")
    assert len(form.options("Project")) == 52


def test_long_comments_in_every_script_are_shown(world: World) -> None:
    world.declare("Payments fail")
    for text in (
        "&" * 1600,
        "🔥" * 7999,
        "д" * 8000,
        "x " * 3999,
        "\n".join("•" for _ in range(3999)),
        "<@U0001> " * 400,
    ):
        assert "You commented on #1" in world.ask(world.ben, f"comment 1 {text}").text
    world.ask(world.ben, "activity 1")
    world.ask(world.ada, "1")
    world.settle()
    log = next(m for m in reversed(world.ben.sees(world.cast.checkout)) if "Activity of #1" in m.text)
    assert log.buttons.count("Edit") == 6
    for row in range(6):
        world.ben.press(log, "Edit", row=row)
        world.ben.wait_for_form("Edit #1").close()


def test_a_log_full_of_everything_stays_within_a_message(world: World) -> None:
    world.declare("Payments fail")
    for number in range(12):
        world.ask(world.sue, f"comment 1 {'&' * 1500} {number}")
    world.ask(world.sue, "activity 1")
    log = world.sue.wait_for_message(world.cast.checkout, "Activity of #1")  # too large for the acknowledgement
    assert "Next" in log.buttons and log.buttons.count("Delete") == 8
