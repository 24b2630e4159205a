"""Three organizations in four workspaces: what anybody has sent does nothing, and shows nothing, when somebody else
sends it in another workspace, whether the request names that workspace or the one where it was made.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from bot.slack.manifest import manifest
from sandbox import Person, Sandbox
from sandbox.records import Json
from tests.installations.conftest import Cloud
from tests.patience import PATIENCE_S
from tests.stories.conftest import COMMAND, apply_file

# An organization has its own words, teams by the same names, and numbers that no other has.
FILE = """
organization: {{slug: {slug}, name: {slug}, workspaces: [{workspaces}]}}
teams: [{{slug: payments, name: Payments}}, {{slug: labs, name: Labs}}]
projects:
  - {{slug: checkout, name: Checkout, teams: [payments], channels: [{channel}]}}
  - {{slug: rest, name: Rest, teams: [labs], channels: []}}
members:
{members}
"""
# What an answer to a stranger may leave behind: who they are, what was asked before, and what they are told.
OF_STRANGERS = {"slack_person", "handled_request", "destination", "post", "outbox", "replica", "method_pace"}
# Slack's errors when the bot answers a stranger where they are not, or who has not seen the message.
ANSWERS_NOWHERE = (
    *("no_original", "invalid_trigger_id", "expired_trigger_id", "channel_not_found", "user_not_found"),
    *("users_not_found", "not_in_channel", "message_not_found", "view_not_found", "not_found", "thread_not_found"),
)


@dataclass(frozen=True)
class Place:
    """Somebody in their workspace, with what only their organization may read."""

    slack: Sandbox
    person: Person
    organization: str
    channel: str
    secret: str
    number: int

    @property
    def team_id(self) -> str:
        return self.slack.platform.workspace.team_id


@pytest.fixture
def places(cloud: Cloud) -> Iterator[list[Place]]:
    """Acme in T0001 and T0002, Globex in T0003, Initech in T0004, each with an open incident and its card."""
    with ExitStack() as stack:
        more = []
        for number, domain in ((3, "globex"), (4, "initech")):
            slack = stack.enter_context(
                Sandbox(
                    team_id=f"T000{number}",
                    team_name=domain.title(),
                    domain=domain,
                    installed=False,
                    acknowledge_seconds=PATIENCE_S,
                    app_of=cloud.first,
                )
            )
            slack.install(manifest(COMMAND, cloud.url, many=True))
            slack.use_http(f"{cloud.url}/slack/events")
            slack.channel(f"C00{number}1", "alerts")
            more.append((slack, slack.person(f"U00{number}1", f"Olga {domain.title()}", f"olga@{domain}.test")))
        (third, gus), (fourth, ike) = more
        ada, zoe = cloud.cast.ada, cloud.zoe
        found = [
            Place(cloud.first, ada, "acme", "C0001", "Refunds", 101),
            Place(cloud.second, zoe, "acme", "C0021", "Quasars", 102),
            Place(third, gus, "globex", "C0031", "Coolant", 201),
            Place(fourth, ike, "initech", "C0041", "Staplers", 301),
        ]
        owner = "  - {{email: {0}, name: {1}, role: owner, teams: [payments, labs]}}"
        zoe_of_labs = "  - {email: zoe@acme.test, name: Zoe Lab, role: admin, teams: [labs]}"
        for one, workspaces in ((found[0], "T0001, T0002"), (found[2], "T0003"), (found[3], "T0004")):
            email = "ada@acme.test" if one.person is ada else f"olga@{one.organization}.test"
            members = owner.format(email, one.person.name) + (f"\n{zoe_of_labs}" if one.person is ada else "")
            file = FILE.format(slug=one.organization, workspaces=workspaces, channel=one.channel, members=members)
            if one.person is ada:
                file = file.replace("channels: []", "channels: [C0021]")
            apply_file(cloud.store, cloud.folder, file)
        with cloud.store.write() as tx:
            for slug, last in (("acme", 100), ("globex", 200), ("initech", 300)):
                tx.execute(
                    text("UPDATE organization SET last_identifier = :last WHERE slug = :slug"),
                    {"last": last, "slug": slug},
                )
        for one in found:
            cloud.install(one.slack, cloud.cast.ben if one.person is ada else one.person)
        for one in found:
            project = "rest" if one.person is zoe else "checkout"
            cloud.ask(one.person, f"declare project:{project} {one.secret} fail")
            one.person.wait_for_message(one.channel, containing=f"#{one.number} {one.secret} fail")
        yield found
        for slack in (third, fourth):
            slack.settle(PATIENCE_S)
            slack.expect_no_problems()


def use(cloud: Cloud, place: Place) -> list[Json]:
    """Everything that a person does in a day, as their clients have sent it."""
    person, number, begin = place.person, place.number, len(place.slack.sent)
    card = person.wait_for_message(place.channel, containing=f"#{number}")
    domain = place.slack.platform.workspace.domain
    link = f"https://{domain}.slack.com/archives/{place.channel}/p{card.ts.replace('.', '')}"
    for words in (
        *(
            "list all",
            "whoami",
            "oncall",
            "silence list",
            "digest list",
            "members",
            "workspaces",
            "audit",
            "list owner:me",
        ),
        *(f"{verb} {number}" for verb in ("view", "ack", "take", "release", "subscribe", "unsubscribe", "activity")),
        *(f"comment {number} a note", f"silence {number} 2h", f"resolve {number}", f"reopen {number}"),
        *(f"severity {number} warning", f"ack <{link}>", f"handoff {number} {person.mention}"),
    ):
        cloud.ask(person, words)
    for label in ("Acknowledge", "Take it", "View", "Activity", "Subscribe"):
        person.press(card, label)
    person.close(person.wait_for_form(), everything=True)
    for label, title in (("Comment", "Comment"), ("Resolve", "Resolve")):
        person.press(card, label)
        person.wait_for_form(f"{title} #{number}").fill("Comment", "as before").submit()
    card.wait_for(lambda shown: "Reopen" in shown.buttons)
    person.press(card, "Reopen")
    card.wait_for(lambda shown: "Resolve" in shown.buttons)
    picked = cloud.ask(person, "ack").message
    assert picked is not None
    person.options(picked, "Search by number or title", place.secret)
    listed = cloud.ask(person, "list").message
    assert listed is not None
    person.press(listed, "View")
    person.press(listed, "Share")
    person.opens_home()
    person.press(person.wait_for_home(f"#{number}"), "View", containing=f"#{number}")
    person.close(person.wait_for_form(), everything=True)
    person.shortcut("declare_incident")
    form = person.wait_for_form("Declare an incident")
    form.options("Project")
    person.close(form, everything=True)
    said = person.say(place.channel, "look at this")
    person.message_shortcut(said, "add_to_incident")
    person.close(person.wait_for_form(), everything=True)
    reply = person.reply(card, "the index is rebuilt")
    person.edit(reply, "the index is being rebuilt")
    person.react(card, "eyes")
    person.mention_bot(place.channel, f"view {number}")
    person.tell_bot(f"view {number}")
    person.delete(reply)
    cloud.settle()
    place.slack.settle(PATIENCE_S)
    return [copy.deepcopy(exchange.sent) for exchange in place.slack.sent[begin:]]


def in_own_workspace(payload: Json, origin: Place, stranger: Place) -> Json:
    """The request names the workspace of who sends it, and carries the ids of another."""
    return json.loads(json.dumps(payload).replace(f'"{origin.team_id}"', f'"{stranger.team_id}"'))  # type: ignore[no-any-return]


def in_its_workspace(payload: Json, _origin: Place, _stranger: Place) -> Json:
    """The request names the workspace where it was made; who sends it is of another."""
    return copy.deepcopy(payload)


def make_unique(payload: Json, number: int) -> Json:
    """As if Slack had not sent it before."""
    if "event_id" in payload:
        payload["event_id"] += f"N{number}"
    if payload.get("type") == "view_submission":
        payload["view"] |= {"id": f"V{number}N"}
    return payload


def read_tables(cloud: Cloud) -> dict[str, Any]:
    with cloud.store.read() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
        return {
            table: sorted(connection.execute(text(f"SELECT t::text FROM {table} t")).scalars())  # noqa: S608
            for table in sorted(set(tables) - OF_STRANGERS)
        }


def test_what_anybody_has_sent_does_and_shows_nothing_elsewhere(cloud: Cloud, places: list[Place]) -> None:
    sent = {id(place): use(cloud, place) for place in places}
    assert all(len(payloads) >= 40 for payloads in sent.values())
    kinds = {str(one.get("type") or "command") for payloads in sent.values() for one in payloads}
    assert {"command", "block_actions", "view_submission", "block_suggestion", "shortcut", "message_action"} <= kinds
    before = read_tables(cloud)
    marks = {id(place): len(place.slack.traffic) for place in places}
    numbers = itertools.count()
    for origin, stranger in itertools.permutations(places, 2):
        # An owner sees all of their organization, in whatever workspace.
        if origin.organization == stranger.organization and stranger.person is cloud.cast.ada:
            continue
        for payload, change in itertools.product(sent[id(origin)], (in_own_workspace, in_its_workspace)):
            again = make_unique(change(payload, origin, stranger), next(numbers))
            answer = stranger.person.replay(again).answer
            assert origin.secret not in str(answer), (again, answer)
    for place in places:
        place.slack.settle(PATIENCE_S)
    after = read_tables(cloud)
    assert {t: [row for row in rows if row not in before[t]] for t, rows in after.items() if rows != before[t]} == {}
    assert after == before
    for place in places:
        others = {one.secret for one in places if one.organization != place.organization}
        for exchange in place.slack.traffic[marks[id(place)] :]:
            if exchange.kind in ("web_api", "response_url"):
                told = json.dumps(exchange.sent)
                assert not [secret for secret in others if secret in told], exchange
        for kind in ANSWERS_NOWHERE:
            place.slack.problems.take(kind)
        # The Home of somebody who is not there.
        assert all("views.publish" in str(one) for one in place.slack.problems.take("invalid_arguments"))
