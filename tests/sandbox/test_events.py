"""What the app is told of, and how: subtypes, edits by nobody, other bots, and people from another company."""

from contextlib import ExitStack
from typing import Any

import pytest
from slack_sdk import WebClient

from sandbox import ALL_EVENTS, Sandbox, SandboxError
from tests.sandbox.bare import BareApp


class Listener:
    """A bare app that keeps the events it was told of."""

    def __init__(self, slack: Sandbox, stack: ExitStack) -> None:
        self._slack = slack
        self._bare = BareApp(slack, stack)

    @property
    def payloads(self) -> list[dict[str, Any]]:
        """Every event with what is around it, once everything was acknowledged."""
        self._slack.settle()
        return [envelope["payload"] for envelope in self._bare.received]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [payload["event"] for payload in self.payloads]


@pytest.fixture
def heard(slack: Sandbox, sockets: ExitStack) -> Listener:
    slack.platform.app.events = ALL_EVENTS
    return Listener(slack, sockets)


def test_a_mention_is_told_twice_in_a_channel_and_once_in_private(slack: Sandbox, heard: Listener) -> None:
    ada = slack.person("U0001", "Ada Obi")
    ops = slack.channel("C0001", "checkout")
    root = ada.say(ops, "hello")
    ada.mention_bot(ops, "list", thread=root)
    ada.tell_bot(f"{slack.bot_mention} list")
    kinds = [(event["type"], event.get("channel_type"), event.get("thread_ts")) for event in heard.events]
    assert kinds == [
        ("message", "channel", None),
        ("message", "channel", root.ts),
        ("app_mention", None, root.ts),
        ("message", "im", None),
    ]
    message, mention = heard.events[1:3]
    assert message["ts"] == mention["ts"] and mention["text"] == f"{slack.bot_mention} list"
    assert message["parent_user_id"] == "U0001"


def test_an_unfurl_is_an_edit_by_nobody(slack: Sandbox, heard: Listener) -> None:
    ada = slack.person("U0001", "Ada Obi")
    ops = slack.channel("C0001", "checkout")
    message = ada.say(ops, "see https://a.test/")
    slack.unfurl(message, "A page", "https://a.test/")
    ada.edit(message, "see nothing")
    unfurled, edited = heard.events[1:]
    assert unfurled["subtype"] == edited["subtype"] == "message_changed"
    assert "edited" not in unfurled["message"]
    assert unfurled["message"]["text"] == unfurled["previous_message"]["text"]
    assert edited["message"]["edited"]["user"] == "U0001"
    assert edited["previous_message"]["text"] == "see <https://a.test/>"


def test_the_app_and_other_bots_are_known_by_their_bot_ids(slack: Sandbox, heard: Listener) -> None:
    slack.person("U0001", "Ada Obi")
    robo = slack.person("U0008", "Robo", is_bot=True)
    ops = slack.channel("C0001", "checkout")
    robo.joins(ops)
    robo.say(ops, "beep")
    event = heard.events[-1]
    assert event["bot_id"] == "B0008" and event["user"] == "U0008" and "client_msg_id" not in event


def test_a_root_deleted_above_its_replies_stays_as_a_tombstone(slack: Sandbox, heard: Listener) -> None:
    ada = slack.person("U0001", "Ada Obi")
    ops = slack.channel("C0001", "checkout")
    root = ada.say(ops, "root")
    reply = ada.reply(root, "reply")
    ada.delete(root)
    ada.delete(reply)
    changed, deleted = heard.events[2:]
    assert changed["subtype"] == "message_changed" and changed["message"]["subtype"] == "tombstone"
    assert deleted["subtype"] == "message_deleted" and deleted["deleted_ts"] == reply.ts


def test_the_app_is_told_of_its_own_coming_and_going(slack: Sandbox, heard: Listener) -> None:
    ada = slack.person("U0001", "Ada Obi")
    ops = slack.channel("C0001", "checkout", bot_in=False)
    slack.invite_bot(ops, by=ada)
    slack.remove_bot(ops)
    ada.say(ops, "it is gone")
    kinds = [event["type"] for event in heard.events]
    assert kinds == ["message", "member_joined_channel", "member_left_channel", "channel_left"]
    assert heard.events[0]["subtype"] == "channel_join"
    assert heard.events[1]["inviter"] == "U0001" and heard.events[1]["user"] == slack.bot_user_id


def test_people_from_another_company(slack: Sandbox, heard: Listener) -> None:
    both = slack.channel("C0001", "both", shared_with="T0002")
    ada = slack.person("U0001", "Ada Obi")
    eve = slack.person("U0666", "Eve Out", home_team="T0002")
    ours = slack.channel("C0002", "ours")
    with pytest.raises(SandboxError, match="not in #ours"):
        eve.say(ours, "hello")
    ada.say(both, "hello")
    eve.say(both, "hello from outside")
    mine, hers = heard.payloads
    assert mine["is_ext_shared_channel"] and hers["is_ext_shared_channel"]
    assert mine["team_id"] == "T0001" and hers["team_id"] == "T0002"
    for payload in (mine, hers):
        assert payload["context_team_id"] == "T0001"
        assert payload["authorizations"][0]["team_id"] == "T0001"
    assert hers["event"]["user_team"] == hers["event"]["source_team"] == "T0002"
    assert hers["event"]["user_profile"]["team"] == "T0002"
    assert "user_team" not in mine["event"]


def test_a_channel_that_another_company_hosts_is_named_after_them(slack: Sandbox, heard: Listener) -> None:
    theirs = slack.channel("C0001", "theirs", shared_with="T0002", hosted_by="T0002")
    ada = slack.person("U0001", "Ada Obi")
    said = ada.mention_bot(theirs, "list")
    ada.react(said, "eyes")
    message, mention, reaction = heard.payloads
    for payload in (message, mention, reaction):
        assert payload["team_id"] == "T0002" and payload["is_ext_shared_channel"]
        assert payload["authorizations"][0]["team_id"] == "T0001"
    assert message["event"]["team"] == "T0001" and "user_team" not in message["event"]
    assert mention["event"]["team"] == "T0002" and mention["event"]["user_team"] == "T0001"
    assert theirs.render("T0001", member=True)["conversation_host_id"] == "T0002"


def test_a_workspace_of_an_enterprise_organization_names_it(sockets: ExitStack) -> None:
    with Sandbox(enterprise_id="E0001") as slack:
        heard = Listener(slack, sockets)
        wim = slack.person("W0001", "Wim Wide", "wim@acme.test")
        everybody = slack.channel("C0001", "everybody", org_shared=True, hosted_by="T0002")
        wim.say(everybody, "hello")
        wim.shortcut("go")
        message, shortcut = heard.payloads
        assert message["team_id"] == "T0002" and message["enterprise_id"] == "E0001"
        assert not message["is_ext_shared_channel"]
        authorization = message["authorizations"][0]
        assert (authorization["team_id"], authorization["enterprise_id"]) == ("T0001", "E0001")
        assert shortcut["enterprise"]["id"] == shortcut["team"]["enterprise_id"] == "E0001"
        client = WebClient(slack.bot_token, base_url=slack.api_url)
        assert client.auth_test()["enterprise_id"] == "E0001"
        assert client.users_info(user=wim.id)["user"]["enterprise_user"]["teams"] == ["T0001"]
        channel = client.conversations_info(channel="C0001")["channel"]
        assert channel["is_org_shared"] and not channel["is_ext_shared"]


def test_a_click_from_another_company_names_both(slack: Sandbox, heard: Listener) -> None:
    both = slack.channel("C0001", "both", shared_with="T0002")
    eve = slack.person("U0666", "Eve Out", home_team="T0002")
    button = {"type": "button", "text": {"type": "plain_text", "text": "Go"}, "action_id": "go"}
    bot = slack.platform.workspace.users[slack.bot_user_id]
    blocks = [{"type": "actions", "block_id": "b", "elements": [button]}]
    slack.platform.workspace.post(both, bot, {"text": "x", "blocks": blocks}, by_app=True)
    eve.press(eve.sees(both)[-1], "Go")
    payload = heard.payloads[-1]
    assert payload["team"]["id"] == "T0001"
    assert payload["user"]["team_id"] == "T0002"
