"""Deliveries to the app over Socket Mode: several sockets, goodbyes, what happens to what is not
acknowledged.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from slack_bolt import App
from slack_sdk import WebClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as open_socket

from sandbox import NotAcknowledged, NotConnected, Person, Sandbox
from tests.patience import PATIENCE_S
from tests.sandbox.bare import BareApp, acknowledge, dial, receive, socket_url
from tests.sandbox.conftest import Connect


def test_hello_and_tickets(slack: Sandbox, sockets: ExitStack) -> None:
    url = socket_url(slack)
    socket = sockets.enter_context(open_socket(url))
    hello = receive(socket)
    assert hello["num_connections"] == 1
    assert hello["connection_info"] == {"app_id": "A0001"}
    assert set(hello["debug_info"]) == {"host", "build_number", "approximate_connection_time"}
    with pytest.raises(InvalidStatus):  # a ticket is good for one socket
        open_socket(url)


def test_each_envelope_goes_to_one_socket(slack: Sandbox, sockets: ExitStack) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    two = [dial(slack, sockets), dial(slack, sockets)]
    for number in range(4):
        ada.say("C0001", f"message {number}")
    heard = []
    for socket in two:
        for _ in range(2):
            envelope = receive(socket)
            assert (envelope["retry_attempt"], envelope["retry_reason"]) == (0, "")
            heard.append(envelope["payload"]["event"]["text"])
            acknowledge(socket, envelope)
    slack.settle()
    assert sorted(heard) == [f"message {number}" for number in range(4)]


def test_the_eleventh_socket_is_turned_away(slack: Sandbox, sockets: ExitStack) -> None:
    for _ in range(10):
        dial(slack, sockets)
    eleventh = sockets.enter_context(open_socket(socket_url(slack)))
    assert receive(eleventh)["reason"] == "too_many_websockets"
    with pytest.raises(ConnectionClosed):
        eleventh.recv(PATIENCE_S)
    assert slack.connections == 10


def test_goodbyes(slack: Sandbox, sockets: ExitStack) -> None:
    socket = dial(slack, sockets)
    slack.warn_sockets()
    assert receive(socket)["reason"] == "warning"
    assert slack.connections == 1
    slack.refresh_sockets()
    goodbye = receive(socket)
    assert (goodbye["type"], goodbye["reason"]) == ("disconnect", "refresh_requested")
    with pytest.raises(ConnectionClosed):
        socket.recv(PATIENCE_S)
    other = dial(slack, sockets)
    slack.drop_sockets()
    with pytest.raises(ConnectionClosed):
        other.recv(PATIENCE_S)


def test_an_event_that_is_not_acknowledged_comes_again(slack: Sandbox, sockets: ExitStack) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    socket = dial(slack, sockets)
    ada.say("C0001", "hello")
    first = receive(socket)
    slack.platform.deliveries.expire()
    again = receive(socket)
    assert again["envelope_id"] != first["envelope_id"]
    assert again["payload"] == first["payload"]
    assert (again["retry_attempt"], again["retry_reason"]) == (1, "timeout")
    slack.platform.deliveries.expire()
    slack.settle()
    slack.clock.advance(60)
    assert receive(socket)["retry_attempt"] == 2
    slack.platform.deliveries.expire()
    slack.settle()
    slack.clock.advance(300)
    last = receive(socket)
    assert last["retry_attempt"] == 3
    acknowledge(socket, last)
    slack.settle()
    assert len(slack.problems.take("not_acknowledged")) == 3
    # Too late is no crime: the first envelope's time is over, and it is known.
    acknowledge(socket, first)
    acknowledge(socket, {"envelope_id": "made-up"})
    slack.wait_until(lambda: slack.problems.take("unknown_envelope"))


def test_an_event_on_a_connection_that_ends_comes_again_on_another(slack: Sandbox, sockets: ExitStack) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    lost = dial(slack, sockets)
    ada.say("C0001", "hello")
    first = receive(lost)
    slack.drop_sockets()
    again = receive(dial(slack, sockets))
    assert again["payload"] == first["payload"]
    assert (again["retry_attempt"], again["retry_reason"]) == (1, "timeout")
    assert not slack.problems


def test_events_out_of_order_and_twice(slack: Sandbox, sockets: ExitStack) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    socket = dial(slack, sockets)
    with slack.events_held() as held:
        for word in ("one", "two", "three"):
            ada.say("C0001", word)
        assert held.names == ["message"] * 3
        held.release([2, 0])
    texts = []
    for _ in range(2):
        envelope = receive(socket)
        texts.append(envelope["payload"]["event"]["text"])
        acknowledge(socket, envelope)
    assert texts == ["three", "one"]
    slack.settle()
    slack.redeliver(slack.sent[-1])
    envelope = receive(socket)
    assert envelope["payload"]["event"]["text"] == "one" and envelope["retry_attempt"] == 1
    acknowledge(socket, envelope)


def test_nobody_there(slack: Sandbox) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.platform.deliveries.acknowledge_seconds = 0.1
    with pytest.raises(NotConnected):
        ada.command("/incident", "list")


def test_what_waits_for_a_socket_arrives_with_it(slack: Sandbox, sockets: ExitStack) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    ada.say("C0001", "early")
    socket = dial(slack, sockets)
    envelope = receive(socket)
    assert envelope["payload"]["event"]["text"] == "early"
    acknowledge(socket, envelope)


@pytest.mark.parametrize(
    "answer", ["not json", "[]", '{"payload": {}}', '{"envelope_id": 3}'], ids=["text", "list", "no id", "number"]
)
def test_an_acknowledgement_that_is_none(slack: Sandbox, sockets: ExitStack, answer: str) -> None:
    socket = dial(slack, sockets)
    socket.send(answer)
    slack.wait_until(lambda: slack.problems.take("invalid_acknowledgement"))


def test_a_payload_where_none_is_taken(slack: Sandbox, sockets: ExitStack) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    socket = dial(slack, sockets)
    ada.say("C0001", "hello")
    acknowledge(socket, receive(socket), {"text": "thanks"})
    slack.wait_until(lambda: slack.problems.take("invalid_acknowledgement"))


def test_a_bolt_app_comes_back_after_a_refresh(slack: Sandbox, app: App, connect: Connect) -> None:
    ada = slack.person("U0001", "Ada Obi")

    @app.command("/incident")
    def incident(ack: Any) -> None:
        ack(text="here")

    connect(app)
    slack.refresh_sockets()
    slack.wait_until(lambda: slack.connections == 1, what="a new socket")
    assert ada.command("/incident").text == "here"


def test_an_app_without_a_listener_does_not_acknowledge(slack: Sandbox, app: App, connect: Connect) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.platform.deliveries.acknowledge_seconds = 0.2
    connect(app)
    with pytest.raises(NotAcknowledged, match="'/other'"):
        ada.command("/other")
    assert slack.problems.take("not_acknowledged")


def test_an_app_hears_what_it_subscribed_to_and_may_read(slack: Sandbox, sockets: ExitStack) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "open")
    slack.channel("C0002", "closed", private=True)
    slack.channel("C0003", "deaf", bot_in=False)
    slack.platform.app.events = frozenset(["message.channels", "message.groups"])
    slack.platform.app.scopes -= {"groups:history"}
    socket = dial(slack, sockets)
    ada.say("C0002", "no scope")
    ada.say("C0003", "not there")
    ada.tell_bot("not subscribed")
    ada.say("C0001", "heard")
    envelope = receive(socket)
    assert envelope["payload"]["event"]["text"] == "heard"
    acknowledge(socket, envelope)
    slack.settle()


def test_many_at_once(slack: Sandbox, sockets: ExitStack) -> None:
    people = [slack.person(f"U000{number}", f"Person{number} Name") for number in range(4)]
    ops = slack.channel("C0001", "checkout")
    client = WebClient(token=slack.bot_token, base_url=slack.api_url)
    app = BareApp(slack, sockets)
    app.answer = None

    def work(person: Person) -> None:
        for number in range(25):
            person.command("/incident", f"{number}", channel=ops)
            message = person.say(ops, f"{number}")
            client.chat_postMessage(channel="C0001", thread_ts=message.ts, text="noted")
            person.react(message, "eyes")
            person.edit(message, f"{number} again")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, person) for person in people]:
            done.result()
    slack.settle()
    messages = slack.messages(ops)
    assert len(messages) == 100
    assert all([reply.text for reply in message.thread] == ["noted"] for message in messages)
    assert all(message.text.endswith(" again") for message in messages)
    stamps = [envelope["payload"]["event"]["event_ts"] for envelope in app.received if envelope["type"] == "events_api"]
    assert len(stamps) == len(set(stamps)) == 400
