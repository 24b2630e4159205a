"""The app is removed or its tokens are revoked: nothing is sent any more, everything is kept, and it can come back."""

from __future__ import annotations

import copy

import pytest
from sqlalchemy import func, select, text

from storage.models import Incident, Installation, Workspace
from storage.values import Work
from tests.changes import change
from tests.installations.conftest import Cloud
from tests.patience import PATIENCE_S
from tests.stories.conftest import ORGANIZATION


def test_nothing_is_sent_after_the_app_was_removed_and_everything_after_it_came_back(cloud: Cloud) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.ask(cloud.cast.ada, "declare project:checkout Payments fail")
    card = cloud.cast.ben.wait_for_message(cloud.cast.checkout, containing="#1 Payments fail")
    cloud.first.uninstall()
    cloud.settle()
    assert cloud.bot.clients.find("T0001") is None
    with cloud.store.read() as connection:
        row = connection.execute(select(Installation)).one()
        assert (row.token_sealed, row.refresh_token_sealed) == (None, None)
        assert row.end_reason in ("app_uninstalled", "tokens_revoked")
        assert connection.scalar(select(func.count()).select_from(Incident)) == 1
        assert connection.scalar(select(Workspace.paused_reason)) == row.end_reason
        entry = connection.execute(text("SELECT * FROM audit_entry WHERE action = 'installation.remove'")).one()
    assert entry.subject == "T0001" and entry.origin == "oauth"
    calls = len(cloud.first.traffic)
    # What happens meanwhile, from an alert or in another workspace.
    change(
        cloud.store,
        "UPDATE incident SET title = 'Payments fail with 502'",
        "UPDATE destination SET due_at = now()",
        "UPDATE post SET wanted_version = wanted_version + 1, due_at = now()",
    )
    cloud.bot.delivery.wake(Work.POSTS)
    cloud.bot.installations.registry.read()  # type: ignore[union-attr]
    assert [exchange.name for exchange in cloud.first.traffic[calls:]] == []
    page = cloud.install(cloud.first, cloud.cast.ben)
    assert "Everything is ready" in page.text
    card.wait_for(lambda shown: "Payments fail with 502" in shown.text)
    assert "#1 Payments fail with 502" in cloud.ask(cloud.cast.ben, "list").text


def test_a_late_event_of_an_earlier_installation_ends_nothing(cloud: Cloud) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    with cloud.first.events_held() as held:
        cloud.first.uninstall()
        cloud.install(cloud.first, cloud.cast.ada)
        assert held.names == ["tokens_revoked", "app_uninstalled"]
    cloud.settle()
    assert "No open incidents" in cloud.ask(cloud.cast.ben, "list").text
    with cloud.store.read() as connection:
        assert connection.scalar(select(Installation.date_ended)) is None


def test_the_revoked_token_of_a_person_ends_nothing(cloud: Cloud) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.first.revoke("token_revoked")
    cloud.first.announce_revoked([cloud.cast.ben])
    cloud.settle()
    cloud.first.revoke(None)
    assert "No open incidents" in cloud.ask(cloud.cast.ben, "list").text


def test_the_event_comes_again_where_slack_cannot_be_asked(cloud: Cloud) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    fault = cloud.first.faults.refuse("auth.test", "internal_error", times=None)
    cloud.first.uninstall()
    cloud.first.wait_until(lambda: cloud.first.calls("auth.test")[1:], what="the question whether it works")
    with cloud.store.read() as connection:
        assert connection.scalar(select(Installation.date_ended)) is None
    cloud.first.faults.remove(fault)
    removed = next(e for e in cloud.first.sent if e.name == "app_uninstalled")
    cloud.first.redeliver(removed)
    cloud.first.wait_until(lambda: cloud.bot.clients.find("T0001") is None, what="the end of the installation")
    cloud.settle()
    cloud.first.problems.take("http_error")


def test_a_message_in_flight_when_the_token_is_revoked_is_sent_once_it_works_again(
    cloud: Cloud, capfd: pytest.CaptureFixture[str]
) -> None:
    """Slack refuses the token before it says that the app was removed."""
    both = ORGANIZATION.replace("[T0001]", "[T0001, T0002]").replace("channels: [C0001]", "channels: [C0001, C0021]")
    cloud.apply(both)
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe)
    cloud.ask(cloud.cast.ada, "declare project:checkout Payments fail")
    cloud.zoe.wait_for_message("C0021", containing="#1 Payments fail")
    with cloud.second.events_held():
        cloud.second.oauth.uninstall(cloud.second.oauth.installations["T0002"])
        cloud.ask(cloud.cast.ada, "declare project:checkout Refunds fail")
        cloud.cast.ben.wait_for_message(cloud.cast.checkout, containing="#2 Refunds fail")
        cloud.first.wait_until(lambda: paused(cloud) == "account_inactive", PATIENCE_S, "sending is paused")
        assert "account_inactive" in "".join(capfd.readouterr())
        assert not any("Refunds" in message.text for message in cloud.second.messages("C0021"))
        cloud.install(cloud.second, cloud.zoe)
    cloud.zoe.wait_for_message("C0021", containing="#2 Refunds fail")
    cloud.settle()
    assert sum("#2 Refunds fail" in message.text for message in cloud.second.messages("C0021")) == 1


def paused(cloud: Cloud) -> str | None:
    with cloud.store.read() as connection:
        return connection.scalar(select(Workspace.paused_reason).where(Workspace.id == "T0002"))


def test_what_is_asked_by_a_revoked_installation_is_left(cloud: Cloud, capfd: pytest.CaptureFixture[str]) -> None:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.ask(cloud.cast.ada, "declare project:checkout Payments fail")
    card = cloud.cast.ben.wait_for_message(cloud.cast.checkout, containing="#1 Payments fail")
    cloud.cast.ben.press(card, "Acknowledge")
    card.wait_for(lambda shown: "Seen by Ben Tal" in shown.text)
    pressed = copy.deepcopy(next(e.sent for e in cloud.first.sent if e.sent.get("type") == "block_actions"))
    pressed["actions"][0]["action_id"] = "resolve"
    cloud.cast.ben.reply(card, "it is the database")
    cloud.settle()
    cloud.first.uninstall()
    cloud.settle()
    answer = cloud.cast.ada.command("/incident", "list")
    assert "not connected" in answer.text and "Payments" not in answer.text
    cloud.cast.ben.replay(pressed)
    cloud.first.redeliver(next(e for e in cloud.first.sent if e.sent.get("type") == "event_callback"))
    cloud.settle()
    assert "an event of a workspace without the bot was left" in "".join(capfd.readouterr())
    with cloud.store.read() as connection:
        assert connection.scalar(select(Incident.date_closed)) is None
