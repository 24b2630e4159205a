"""Two organizations in two workspaces of one app: nobody acts or sees across, whatever ids a request carries."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from sandbox.records import Json
from tests.installations.conftest import Cloud
from tests.stories.conftest import COMMAND

GLOBEX = """
organization: {slug: globex, name: Globex, workspaces: [T0002]}
teams: [{slug: core, name: Core}]
projects: [{slug: reactor, name: Reactor, teams: [core], channels: [C0021]}]
members:
  - {email: zoe@acme.test, name: Zoe Lab, slack: U0021, role: owner, teams: [core]}
"""
TABLES = ("incident", "incident_activity", "incident_seen", "incident_subscription", "member", "workspace")


@pytest.fixture
def two(cloud: Cloud) -> Cloud:
    """Acme and Globex, each with an incident by the same number."""
    cloud.apply()
    cloud.apply(GLOBEX)
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe)
    cloud.ask(cloud.cast.ada, "declare project:checkout Payments fail")
    cloud.ask(cloud.zoe, "declare project:reactor Coolant lost")
    return cloud


def state(cloud: Cloud) -> dict[str, Any]:
    with cloud.store.read() as connection:
        return {table: connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).all() for table in TABLES}  # noqa: S608


def recorded(cloud: Cloud) -> list[Json]:
    """What Ada's clients have sent: buttons of a card, of an answer and of Home, and forms."""
    ada = cloud.cast.ada
    card = ada.wait_for_message(cloud.cast.checkout, containing="#1 Payments fail")
    for label in ("Acknowledge", "Take it"):
        ada.press(card, label)
    ada.press(card, "Resolve")
    ada.wait_for_form("Resolve #1").fill("Comment", "rolled back").submit()
    card.wait_for(lambda shown: "Reopen" in shown.buttons)
    ada.press(card, "Reopen")
    answer = cloud.ask(ada, "workspaces").message
    assert answer is not None
    ada.opens_home()
    ada.press(ada.wait_for_home("#1"), "View", containing="#1")
    ada.wait_for_form("Incident").close(everything=True)
    cloud.settle()
    return [
        copy.deepcopy(e.sent) for e in cloud.first.sent if e.sent.get("type") in ("block_actions", "view_submission")
    ]


def in_the_other_workspace(payload: Json) -> Json:
    payload["team"] = {"id": "T0002", "domain": "labs"}
    if "view" in payload:
        payload["view"] |= {"team_id": "T0002", "app_installed_team_id": "T0002"}
    return payload


def as_it_was(payload: Json) -> Json:
    return payload


@pytest.mark.parametrize(
    ("change", "stranger"), [(in_the_other_workspace, False), (in_the_other_workspace, True), (as_it_was, True)]
)
def test_what_was_sent_in_one_organization_does_nothing_in_another(
    two: Cloud, change: Callable[[Json], Json], *, stranger: bool
) -> None:
    payloads = recorded(two)
    # Zoe, as a channel that both share shows her to Acme: the owner of Globex, by the same id.
    zoe = two.first.person("U0021", "Zoe Lab", "zoe@acme.test", home_team="T0002")
    assert len(payloads) >= 6
    before = state(two)
    seen = len(two.second.messages("C0021"))
    for number, payload in enumerate(payloads):
        again = change(copy.deepcopy(payload))
        again["trigger_id"] = f"{number}.1.x"
        if again["type"] == "view_submission":
            again["view"] |= {"id": f"V{number}X"}
        answer = (zoe if stranger else two.cast.ada).replay(again).answer
        assert "Payments" not in str(answer) and "Coolant" not in str(answer), (number, answer)
    two.settle()
    after = state(two)
    assert {t: [r for r in rows if r not in before[t]] for t, rows in after.items()} == {t: [] for t in TABLES}
    assert after == before
    assert len(two.second.messages("C0021")) == seen
    # The answer goes to who has not seen the message, and to who is not there.
    for kind in ("no_original", "invalid_trigger_id", "channel_not_found", "user_not_found"):
        two.first.problems.take(kind)
        two.second.problems.take(kind)


def test_an_incident_of_the_other_organization_is_none_by_number(two: Cloud) -> None:
    assert "Coolant lost" in two.ask(two.zoe, "view 1").text
    assert "Payments fail" in two.ask(two.cast.ada, "view 1").text
    assert "Payments" not in two.ask(two.zoe, "list").text


@pytest.mark.parametrize(
    "claim", [{"api_app_id": "A0666"}, {"is_enterprise_install": "true", "enterprise_id": "E0666"}], ids=["app", "grid"]
)
def test_a_request_that_names_another_app_or_enterprise_is_refused(
    two: Cloud, claim: Json, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox import payloads

    original = payloads.command
    monkeypatch.setattr(payloads, "command", lambda *given: original(*given) | claim)
    answer = two.cast.ada.command(COMMAND, "list")
    assert "names a workspace that it does not come from" in answer.text and "Payments" not in answer.text
    assert "a request names what is not of its workspace" in "".join(capfd.readouterr())
