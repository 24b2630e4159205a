"""What people get while the cell of their workspace is away: an answer wherever this process can give one.

In a shortcut and in Home, only the workspace's own token can answer. Without it, Slack has to say that the app did not
respond: an empty acknowledgement would look as if the request had been carried out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from bot.app import Bot
from bot.cells.serving import OtherCells
from bot.intake.http import create_http_app
from bot.intake.server import HttpServer
from bot.process_metrics import ProcessMetrics
from bot.settings import Settings
from bot.slack.clients import Clients
from sandbox import NotAcknowledged, Person, Sandbox
from storage.engine import Store
from tests.patience import PATIENCE_S
from tests.stories.conftest import BRISK, COMMAND, Cast, Run, populate, run

__all__ = ["run"]

AWAY = "I cannot reach my database"
HOME: dict[str, Any] = {
    "type": "home",
    "blocks": [
        {"type": "section", "text": {"type": "mrkdwn", "text": "Posted before"}},
        {
            "type": "actions",
            "elements": [
                {"type": "button", "text": {"type": "plain_text", "text": "Members"}, "action_id": "admin_members"}
            ],
        },
    ],
}


@dataclass
class Away:
    """A bot whose second cell was never reached. It may hold any workspace that the first one does not have."""

    slack: Sandbox
    cast: Cast
    clients: Clients

    @property
    def ada(self) -> Person:
        return self.cast.ada


@pytest.fixture(params=[True, False], ids=["SLACK_BOT_TOKEN", "by OAuth"])
def away(
    request: pytest.FixtureRequest,
    run: Run,  # noqa: ARG001 - with the settings of a test
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Away]:
    """The parameter: whether the token of the workspace is that of the settings. Else it is in the cell."""
    monkeypatch.setenv("TOCSIN_CELLS", "two=postgresql://nobody@127.0.0.1:1/none")
    store = Store.open(database_url)
    with Sandbox(acknowledge_seconds=PATIENCE_S) as slack:
        cast = populate(slack)
        own = Clients.connect(slack.bot_token, slack.api_url)
        clients = own if request.param else Clients()
        cells = OtherCells(Settings.load(), store, "all")
        bot = Bot(
            store,
            clients,
            api_url=slack.api_url,
            command=COMMAND,
            signing_secret=slack.signing_secret,
            pace=BRISK,
            deadline_s=PATIENCE_S,
            enter=partial(cells.enter, clients=clients, metrics=ProcessMetrics().requests),
        )
        app = create_http_app(store, slack_problem=lambda: None)
        assert bot.http
        bot.http.add_to(app)
        server = HttpServer(app, "127.0.0.1", 0)
        server.start()
        slack.use_http(f"http://127.0.0.1:{server.port}/slack/events")
        bot.start()
        yield Away(slack, cast, own)
        slack.settle(PATIENCE_S)
        server.stop()
        bot.stop()
        cells.close()
    store.close()


@pytest.fixture
def knows_token(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.callspec.params["away"])


def test_a_command_is_answered_with_what_was_typed(away: Away) -> None:
    answer = away.ada.command(COMMAND, "declare Lost words").text
    assert AWAY in answer and "Lost words" in answer


def test_a_button_and_a_shortcut_of_a_message_are_answered_over_their_response_url(away: Away) -> None:
    client = away.clients.all()[0].client
    client.chat_postMessage(channel=away.cast.checkout.id, text="A card", blocks=HOME["blocks"])
    card = away.ada.wait_for_message(away.cast.checkout, containing="Posted before")
    away.ada.press(card, "Members")
    away.ada.wait_for_message(away.cast.checkout, containing=AWAY)
    away.ada.message_shortcut(card, "add_to_incident")
    away.slack.wait_until(
        lambda: len([one for one in away.ada.sees(away.cast.checkout) if AWAY in one.markup]) == 2,
        PATIENCE_S,
        "both answers",
    )
    assert away.ada.form is None


def test_a_shortcut_and_a_press_in_home_are_answered_with_the_token_of_the_workspace(
    away: Away, *, knows_token: bool
) -> None:
    away.clients.all()[0].client.views_publish(user_id=away.ada.user.id, view=HOME)
    home = away.ada.wait_for_home("Posted before")
    if not knows_token:
        with pytest.raises(NotAcknowledged):
            away.ada.shortcut("declare")
        with pytest.raises(NotAcknowledged):
            away.ada.press(home, "Members")
        return
    away.ada.shortcut("declare")
    assert AWAY in away.ada.wait_for_form().text
    away.ada.press(home, "Members")
    away.ada.wait_for_message(containing=AWAY)
    assert len(away.ada.direct_messages()) == 1
