"""The workspace's payloads and answers, key by key, against Slack's published samples and the SDKs' own
test data.

`slack_keys.json` holds, for each shape, where it was taken from, the paths of the keys that the samples
send (`sent`: the sandbox must send them too) and further keys that are known to occur (`known`: it may). A
path ends where the content is the app's own (blocks, state values) or of a shape that is compared by
itself.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from slack_sdk import WebClient
from websockets.sync.client import connect as open_socket

from sandbox import ALL_EVENTS, Sandbox
from tests.sandbox.bare import BareApp, receive, socket_url

KEYS = json.loads((Path(__file__).parent / "slack_keys.json").read_text())

# Where a path ends.
OPAQUE = frozenset(
    [
        *("blocks", "attachments", "values", "previous_message", "root", "message", "files"),
        *("file", "view", "bot_profile", "icons", "confirm", "text", "selected_option"),
        *("title", "close", "submit", "placeholder", "user_profile", "edited", "metadata"),
        *("reactions", "profile", "enterprise_user", "prefs", "topic", "purpose", "properties"),
        *("initial_option", "rich_text_value", "upload", "room", "comment"),
    ]
)
LOOKED_INTO_AT_TOP = frozenset(["view", "message", "previous_message", "root"])

# Keys of the samples that the sandbox does not send.
ABSENT = {
    *("enterprise_id", "enterprise_name", "enterprise.id", "enterprise.name", "event.enterprise"),
    *("team.enterprise_id", "team.enterprise_name"),  # the workspace belongs to no enterprise
}
ABSENT_IN = {
    "block_actions in a view": {"actions[].selected_option"},  # the sample's control is a select, ours a button
    "view_closed": {"response_urls"},  # not in docs.slack.dev/reference/interaction-payloads/view_closed-payload
}

# Keys that the sandbox sends though the samples lack them, each from another page or sample.
MORE = {
    # docs.slack.dev/apis/events-api, the fields of the outer event; in some of the samples, too.
    *("context_team_id", "context_enterprise_id"),
    # What fields hold stands here; the samples with all keys have an empty object in its place.
    *("state.values", "view.state.values", "event.view.state.values"),
}
MORE_IN = {
    "block_suggestion": {"enterprise", "is_enterprise_install"},  # java-slack-sdk BlockSuggestionPayload.java
    "block_suggestion in a message": {"enterprise", "is_enterprise_install"},
    "event app_home_opened": {"event.view.blocks"},
    "event message of a bot": {"event.app_id"},  # as in the answer of chat.postMessage
    "event subteam_updated": {"event.subteam.auto_type"},  # the example of subteam_created
    "event team_join": {"event.cache_ts", "event.event_ts"},  # as in user_change
    "event thread_broadcast": {"event.root.blocks"},  # the sample is of a message from before rich text
    # docs.slack.dev, the examples of conversations.info, usergroups.list and files.info: empty there.
    "answer of conversations.info": {"channel.parent_conversation"},
    "answer of conversations.join": {"channel.parent_conversation"},
    "answer of conversations.list": {"channels[].parent_conversation"},
    "answer of usergroups.list": {"usergroups[].auto_type"},
    "answer of files.info": {"comments", "response_metadata", "response_metadata.next_cursor"},
    "answer of conversations.open": {"channel.is_user_deleted"},  # as in conversations.list
    # A person's message, while the samples are of a bot's: keys as in conversations.history.
    "answer of conversations.replies": {f"messages[].{key}" for key in ("client_msg_id", "latest_reply", "subtype")},
    "answer of reactions.get": {
        f"message.{key}"
        for key in (
            *("client_msg_id", "edited", "is_locked", "latest_reply", "reply_count", "reply_users"),
            *("reply_users_count", "subscribed", "thread_ts"),
        )
    },
}


def paths(value: Any, prefix: str = "") -> set[str]:
    """The paths of all keys in a JSON value."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{prefix}.{key}" if prefix else key
            found.add(path)
            if key not in OPAQUE or (key in LOOKED_INTO_AT_TOP and prefix in ("", "event")):
                found |= paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            found |= paths(inner, prefix + "[]")
    return found


BUTTON = {"type": "button", "text": {"type": "plain_text", "text": "Go"}, "action_id": "go", "value": "1"}
ACTIONS = {
    "type": "actions",
    "elements": [BUTTON, {"type": "external_select", "action_id": "pick", "min_query_length": 0}],
}
MODAL = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "Form"},
    "submit": {"type": "plain_text", "text": "Send"},
    "close": {"type": "plain_text", "text": "Cancel"},
    "notify_on_close": True,
    "blocks": [
        ACTIONS,
        {
            "type": "input",
            "label": {"type": "plain_text", "text": "Text"},
            "element": {"type": "plain_text_input"},
        },
        {
            "type": "input",
            "label": {"type": "plain_text", "text": "Where"},
            "element": {"type": "conversations_select", "response_url_enabled": True},
        },
    ],
}


class Collector:
    """Has everything happen once, and keeps a specimen of each shape as the sandbox writes it."""

    def __init__(self, slack: Sandbox, client: WebClient, bare: BareApp) -> None:
        self.slack, self.client, self.bare = slack, client, bare
        self.shapes: dict[str, Any] = {}
        slack.platform.app.events = ALL_EVENTS
        self.ada = slack.person("U0001", "Ada Obi", "ada@acme.test")
        self.ops = slack.channel("C0001", "checkout")

    def took(self, name: str) -> None:
        """What the app was sent last is a specimen."""
        self.slack.settle()
        self.shapes[name] = self.bare.last

    def event(self, name: str, act: Callable[[], object], *, position: int = 0) -> None:
        """One of the events of an act is a specimen."""
        with self.slack.events_held() as held:
            act()
            held.release([position])
        self.took(f"event {name}")

    def call(self, method: str, **arguments: Any) -> Any:
        """The answer of a method is a specimen."""
        response = self.client.api_call(method, json=arguments)
        self.shapes[f"answer of {method}"] = response.data
        return response

    def everything(self) -> dict[str, Any]:
        self.forms()
        self.messages()
        self.changes()
        self.answers()
        for envelope in self.bare.received:
            bare = {key: value for key, value in envelope.items() if key != "payload"}
            self.shapes[f"envelope {envelope['type']}"] = bare
        return self.shapes

    def forms(self) -> None:
        self.ada.command("/incident", "list", channel=self.ops)
        self.took("command")
        self.call("views.open", trigger_id=self.bare.last["trigger_id"], view=MODAL)
        form = self.ada.wait_for_form()
        self.ada.press(form, "Go")
        self.took("block_actions in a view")
        self.call("views.push", trigger_id=self.bare.last["trigger_id"], view=MODAL)
        top = self.ada.wait_for_form()
        self.bare.answer = {"options": []}
        top.offered("pick")
        self.took("block_suggestion")
        self.bare.answer = None
        top.close()
        self.took("view_closed")
        self.call("views.update", view_id=form.view.id, view=MODAL)
        form.fill("Text", "x").choose("Where", self.ops).submit()
        self.took("view_submission")
        self.ada.shortcut("declare")
        self.took("shortcut")
        self.call("views.publish", user_id="U0001", view={"type": "home", "blocks": [ACTIONS]})
        self.event("app_home_opened", self.ada.opens_home)

    def messages(self) -> None:
        ada, ops = self.ada, self.ops
        metadata = {"event_type": "card", "event_payload": {}}
        posted = self.call("chat.postMessage", channel="C0001", text="x", blocks=[ACTIONS], metadata=metadata)
        self.took("event message of a bot")
        [card] = ada.sees(ops)
        ada.press(card, "Go")
        self.took("block_actions in a message")
        self.bare.answer = {"options": []}
        ada.options(card, "pick")
        self.took("block_suggestion in a message")
        self.bare.answer = None
        self.call("chat.postEphemeral", channel="C0001", user="U0001", text="x", blocks=[ACTIONS])
        ada.press(ada.sees(ops)[-1], "Go")
        self.took("block_actions in an ephemeral message")
        said = ada.say(ops, "hello")
        self.took("event message")
        ada.message_shortcut(said, "add")
        self.took("message_action")
        self.event("message_changed", lambda: ada.edit(said, "hello again"))
        self.event("thread_broadcast", lambda: ada.reply(said, "louder", broadcast=True))
        doomed = ada.say(ops, "oops")
        self.event("message_deleted", lambda: ada.delete(doomed))
        self.event("app_mention", lambda: ada.mention_bot(ops, "list"), position=1)
        self.event("reaction_added", lambda: ada.react(said, "eyes"))
        self.event("reaction_removed", lambda: ada.unreact(said, "eyes"))
        self.event("file_share", lambda: ada.upload(ops, "notes.txt", b"notes", "look"))
        self.event("file_shared", lambda: ada.upload(ops, "notes.txt", b"notes", "look"), position=1)
        for method in ("reactions.add", "reactions.get", "reactions.remove"):
            self.call(method, channel="C0001", timestamp=said.ts, name="wave")
        self.call("chat.update", channel="C0001", ts=posted["ts"], text="y", blocks=[ACTIONS])
        self.call("chat.getPermalink", channel="C0001", message_ts=posted["ts"])
        self.call("conversations.history", channel="C0001", limit=2, include_all_metadata=True)
        self.call("conversations.replies", channel="C0001", ts=said.ts)
        self.call("chat.delete", channel="C0001", ts=posted["ts"])

    def changes(self) -> None:
        slack, ada = self.slack, self.ada
        slack.platform.app.events = ALL_EVENTS - {"message.channels"}
        self.event("team_join", lambda: slack.person("U0002", "Bob Ray", "bob@acme.test", announced=True))
        bob = slack.who("U0002")
        self.event("channel_created", lambda: slack.channel("C0002", "other", members=[ada], announced=True))
        other = slack.platform.workspace.channel("C0002")
        self.event("member_joined_channel", lambda: bob.joins(other, ada))
        self.event("member_left_channel", lambda: bob.leaves(other))
        self.event("channel_rename", lambda: slack.rename(other, "another"))
        self.event("channel_archive", lambda: slack.archive(other))
        self.event("channel_unarchive", lambda: slack.unarchive(other))
        self.event("channel_shared", lambda: slack.share(other, "T0002"))
        self.event("channel_unshared", lambda: slack.unshare(other))
        self.event("channel_left", lambda: slack.remove_bot(other), position=1)
        self.event("user_change", lambda: slack.change(ada, tz="Europe/Berlin"))
        self.event("subteam_created", lambda: slack.usergroup("S0001", "pay", "Pay", [ada], announced=True))
        group = slack.platform.workspace.usergroups["S0001"]
        self.event("subteam_members_changed", lambda: slack.set_members(group, [ada, bob]))
        self.event("subteam_updated", lambda: slack.set_members(group, [ada]), position=1)

    def answers(self) -> None:
        self.call("auth.test")
        self.call("bots.info", bot="B0001")
        self.call("team.info")
        self.call("conversations.join", channel="C0002")
        self.call("conversations.list", types="public_channel,private_channel,im")
        self.call("conversations.info", channel="C0001", include_num_members=True)
        self.call("conversations.members", channel="C0001")
        self.call("conversations.open", users="U0001", return_im=True)
        self.call("users.info", user="U0001", include_locale=True)
        self.call("users.list")
        self.call("users.conversations")
        self.call("users.lookupByEmail", email="ada@acme.test")
        self.call("usergroups.list", include_users=True)
        self.call("usergroups.users.list", usergroup="S0001")
        upload = self.call("files.getUploadURLExternal", filename="a.png", length=1)
        with urlopen(upload["upload_url"], b"x"):
            files = [{"id": upload["file_id"]}]
        self.call("files.completeUploadExternal", files=files, channel_id="C0001")
        self.call("files.info", file=upload["file_id"])
        opened = self.client.apps_connections_open(app_token=self.slack.app_token)
        self.shapes["answer of apps.connections.open"] = opened.data


@pytest.fixture(scope="module")
def shapes() -> Iterator[dict[str, Any]]:
    with Sandbox() as slack, ExitStack() as stack:
        client = WebClient(token=slack.bot_token, base_url=slack.api_url)
        found = Collector(slack, client, BareApp(slack, stack)).everything()
        socket = stack.enter_context(open_socket(socket_url(slack)))
        found["socket hello"] = receive(socket)
        slack.refresh_sockets()
        found["socket disconnect"] = receive(socket)
        yield found
        slack.expect_no_problems()


def test_every_shape_of_the_samples_occurs(shapes: dict[str, Any]) -> None:
    assert set(shapes) == set(KEYS)


@pytest.mark.parametrize("name", sorted(KEYS))
def test_the_keys_are_slack_s(shapes: dict[str, Any], name: str) -> None:
    ours = paths(shapes[name])
    sent, known = set(KEYS[name]["sent"].split()), set(KEYS[name]["known"].split())
    missing = sent - ours - ABSENT - ABSENT_IN.get(name, set())
    unknown = ours - sent - known - MORE - MORE_IN.get(name, set())
    assert (missing, unknown) == (set(), set()), KEYS[name]["origin"]


def test_every_exception_is_needed(shapes: dict[str, Any]) -> None:
    for name, keys in ABSENT_IN.items():
        assert keys <= set(KEYS[name]["sent"].split()) - paths(shapes[name]), name
    for name, keys in MORE_IN.items():
        assert keys <= paths(shapes[name]) - set(KEYS[name]["known"].split()), name
