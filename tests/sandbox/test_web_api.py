"""The Web API refuses what Slack refuses, with Slack's names, and pages as Slack does."""

import json
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import ConnectionErrorRetryHandler

from sandbox import Sandbox


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(SlackApiError) as caught:
        call()
    return str(caught.value.response["error"])


def post(slack: Sandbox, method: str, body: bytes, content_type: str, token: str) -> dict[str, Any]:
    request = Request(slack.api_url + method, body, {"Content-Type": content_type, "Authorization": f"Bearer {token}"})
    with urlopen(request) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def test_tokens(slack: Sandbox, client: WebClient) -> None:
    assert client.auth_test()["team_id"] == "T0001"
    assert refused(lambda: WebClient(base_url=slack.api_url).api_call("users.list")) == "not_authed"
    assert refused(lambda: client.users_list(token="xoxb-wrong")) == "invalid_auth"
    assert refused(lambda: client.api_call("apps.connections.open")) == "not_allowed_token_type"
    assert refused(lambda: client.users_list(token=slack.app_token)) == "not_allowed_token_type"
    assert refused(lambda: client.api_call("chat.shout")) == "unknown_method"
    kinds = [problem.kind for problem in slack.problems]
    assert kinds == [
        "not_authed",
        "invalid_auth",
        "not_allowed_token_type",
        "not_allowed_token_type",
        "unknown_method",
    ]
    slack.problems.clear()
    slack.revoke("account_inactive")
    assert refused(client.auth_test) == "account_inactive"
    slack.revoke(None)
    assert client.auth_test()["ok"]


def test_arguments_come_in_every_shape(slack: Sandbox) -> None:
    slack.channel("C0001", "checkout")
    body = json.dumps({"channel": "C0001", "text": "json"}).encode()
    answer = post(slack, "chat.postMessage", body, "application/json; charset=utf-8", slack.bot_token)
    assert answer["ok"] and answer["message"]["text"] == "json" and "warning" not in answer
    answer = post(slack, "chat.postMessage", body, "application/json", slack.bot_token)
    assert answer["response_metadata"]["warnings"] == ["missing_charset"]
    form = f"token={slack.bot_token}&channel=C0001&text=form%20%26%20more".encode()
    answer = post(slack, "chat.postMessage", form, "application/x-www-form-urlencoded", "")
    assert answer["message"]["text"] == "form & more"
    with urlopen(f"{slack.api_url}users.info?user={slack.bot_user_id}&token={slack.bot_token}") as response:
        assert json.load(response)["user"]["is_bot"]
        assert "chat:write" in response.headers["x-oauth-scopes"]
        assert response.headers["x-accepted-oauth-scopes"] == "users:read"
    assert post(slack, "chat.postMessage", b"{", "application/json", slack.bot_token)["error"] == "invalid_json"
    assert post(slack, "chat.postMessage", b"[]", "application/json", slack.bot_token)["error"] == "json_not_object"
    assert post(slack, "chat.postMessage", b"x", "text/x", slack.bot_token)["error"] == "invalid_post_type"
    slack.problems.clear()


def test_scopes(slack: Sandbox, client: WebClient) -> None:
    slack.person("U0001", "Ada Obi", "ada@acme.test")
    slack.channel("C0001", "checkout", private=True)
    slack.platform.app.scopes = frozenset(["chat:write", "channels:read", "users:read"])
    with pytest.raises(SlackApiError) as caught:
        client.usergroups_list()
    assert caught.value.response["error"] == "missing_scope"
    assert caught.value.response["needed"] == "usergroups:read"
    assert caught.value.response["provided"] == "channels:read,chat:write,users:read"
    assert refused(lambda: client.conversations_info(channel="C0001")) == "missing_scope"
    assert refused(lambda: client.users_lookupByEmail(email="ada@acme.test")) == "missing_scope"
    assert "email" not in client.users_info(user="U0001")["user"]["profile"]
    assert len(slack.problems.take("missing_scope")) == 3


def test_where_the_bot_may_speak_and_listen(slack: Sandbox, client: WebClient) -> None:
    slack.person("U0001", "Ada Obi")
    slack.person("U0009", "Gone Away", deleted=True)
    slack.person("U0008", "Robo", is_bot=True)
    open_ = slack.channel("C0001", "open", bot_in=False)
    slack.channel("C0002", "closed", private=True, bot_in=False)
    old = slack.channel("C0003", "old")
    slack.archive(old)
    say = client.chat_postMessage
    assert refused(lambda: say(channel="C0404", text="x")) == "channel_not_found"
    assert refused(lambda: say(channel="C0002", text="x")) == "channel_not_found"
    assert refused(lambda: say(channel="C0003", text="x")) == "is_archived"
    assert refused(lambda: say(channel="U0008", text="x")) == "cannot_dm_bot"
    assert refused(lambda: say(channel="U0009", text="x")) == "user_disabled"
    assert say(channel="C0001", text="public channels take it")["ok"]
    assert refused(lambda: client.conversations_history(channel="C0001")) == "not_in_channel"
    slack.platform.app.scopes -= {"chat:write.public"}
    assert refused(lambda: say(channel="C0001", text="x")) == "not_in_channel"
    assert client.conversations_join(channel="C0001")["channel"]["is_member"]
    assert say(channel="#open", text="x")["ok"]
    assert client.conversations_join(channel="C0001")["warning"] == "already_in_channel"
    slack.remove_bot(open_)
    assert refused(lambda: say(channel="C0001", text="x")) == "not_in_channel"
    assert refused(lambda: client.conversations_open(users="U0404")) == "user_not_found"
    assert client.conversations_open(users="U0001")["channel"]["id"] == "D0001"
    assert client.conversations_open(users="U0001")["already_open"]
    ephemeral = client.chat_postEphemeral
    assert refused(lambda: ephemeral(channel="C0001", user="U0404", text="x")) == "not_in_channel"
    slack.invite_bot(open_)
    assert refused(lambda: ephemeral(channel="C0001", user="U0404", text="x")) == "user_not_in_channel"


def test_what_a_message_may_be(slack: Sandbox, client: WebClient) -> None:
    slack.channel("C0001", "checkout")
    say = client.chat_postMessage
    assert refused(lambda: client.api_call("chat.postMessage", params={"channel": "C0001"})) == "no_text"
    assert refused(lambda: say(channel="C0001", text="x" * 40_001)) == "msg_too_long"
    header = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
    with pytest.raises(SlackApiError) as caught:
        say(channel="C0001", text="x", blocks=[header])
    assert caught.value.response["error"] == "invalid_blocks"
    [line] = caught.value.response["response_metadata"]["messages"]
    assert line == "[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text/text]"
    assert refused(lambda: say(channel="C0001", text="x", blocks="{")) == "invalid_blocks_format"
    assert refused(lambda: say(channel="C0001", text="x", metadata={"a": 1})) == "invalid_metadata_format"
    assert refused(lambda: say(channel="C0001", text="x", thread_ts="1.000001")) == "thread_not_found"
    ts = say(channel="C0001", text="x")["ts"]
    assert refused(lambda: client.chat_update(channel="C0001", ts=ts, text="x" * 4_001)) == "msg_too_long"
    assert refused(lambda: client.chat_update(channel="C0001", ts="1.000001", text="x")) == "message_not_found"
    ada = slack.person("U0001", "Ada Obi")
    hers = ada.say("C0001", "mine")
    assert refused(lambda: client.chat_update(channel="C0001", ts=hers.ts, text="x")) == "cant_update_message"
    assert refused(lambda: client.chat_delete(channel="C0001", ts=hers.ts)) == "cant_delete_message"
    assert {problem.kind for problem in slack.problems} == {
        "no_text",
        "msg_too_long",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_metadata_format",
    }
    slack.problems.clear()


def test_an_update_keeps_what_it_leaves_out(slack: Sandbox, client: WebClient) -> None:
    slack.channel("C0001", "checkout")
    divider = {"type": "divider"}
    ts = client.chat_postMessage(
        channel="C0001",
        text="a",
        blocks=[divider],
        attachments=[{"color": "#ff0000", "blocks": [divider]}],
        metadata={"event_type": "card", "event_payload": {"n": 1}},
    )["ts"]
    [card] = slack.messages("C0001")
    client.chat_update(channel="C0001", ts=ts, text="b")
    assert card.metadata == {"event_type": "card", "event_payload": {"n": 1}}
    assert card.colors == ["#ff0000"]
    assert card.raw["text"] == "b"
    assert "blocks" not in card.raw
    client.chat_update(channel="C0001", ts=ts, text="c", attachments=[], metadata={})
    assert "attachments" not in card.raw
    assert "metadata" not in card.raw
    assert card.raw["edited"]["user"] == slack.bot_user_id


def test_history_and_threads_page_by_cursor(slack: Sandbox, client: WebClient) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    said = [ada.say("C0001", f"message {number}") for number in range(5)]
    replies = [ada.reply(said[0], f"reply {number}", broadcast=number == 1) for number in range(3)]
    pages = client.conversations_history(channel="C0001", limit=2)
    assert [[(m["text"], m.get("reply_count")) for m in page["messages"]] for page in pages] == [
        [("reply 1", None), ("message 4", None)],
        [("message 3", None), ("message 2", None)],
        [("message 1", None), ("message 0", 3)],
    ]
    found = client.conversations_history(channel="C0001", oldest=said[1].ts, latest=said[3].ts)
    assert [m["text"] for m in found["messages"]] == ["message 2"]
    found = client.conversations_history(channel="C0001", oldest=said[1].ts, latest=said[3].ts, inclusive=True)
    assert len(found["messages"]) == 3
    pages = client.conversations_replies(channel="C0001", ts=replies[2].ts, limit=2)
    assert [[m["text"] for m in page["messages"]] for page in pages] == [
        ["message 0", "reply 0", "reply 1"],
        ["message 0", "reply 2"],
    ]
    assert refused(lambda: client.conversations_replies(channel="C0001", ts="1.1")) == "thread_not_found"
    assert refused(lambda: client.conversations_history(channel="C0001", cursor="x")) == "invalid_cursor"
    slack.problems.clear()


def test_lists_of_people_channels_and_groups(slack: Sandbox, client: WebClient) -> None:
    ada = slack.person("U0001", "Ada Obi", "Ada@acme.test", tz="Europe/Berlin")
    eve = slack.person("U0002", "Eve Out", "eve@other.test", home_team="T0002")
    slack.usergroup("S0001", "payments", "Payments", [ada])
    slack.channel("C0001", "checkout")
    slack.channel("C0002", "secret", private=True)
    slack.channel("C0003", "hidden", private=True, bot_in=False)
    slack.channel("C0004", "both", shared_with="T0002")
    assert client.users_lookupByEmail(email="ada@acme.test")["user"]["id"] == "U0001"
    assert refused(lambda: client.users_lookupByEmail(email="eve@other.test")) == "users_not_found"
    user = client.users_info(user="U0001")["user"]
    assert user["is_email_confirmed"] and user["tz_offset"] in (3600, 7200)
    stranger = client.users_info(user=eve.id)["user"]
    assert stranger["is_stranger"] and stranger["team_id"] == "T0002" and "email" not in stranger["profile"]
    names = {c["name"] for c in client.conversations_list(types="public_channel,private_channel")["channels"]}
    assert names == {"checkout", "secret", "both"}
    assert client.conversations_info(channel="C0004")["channel"]["is_ext_shared"]
    assert refused(lambda: client.conversations_info(channel="C0003")) == "channel_not_found"
    members = [page["members"] for page in client.conversations_members(channel="C0004", limit=2)]
    assert members == [["U0001", "U0002"], [slack.bot_user_id]]
    assert client.usergroups_users_list(usergroup="S0001")["users"] == ["U0001"]
    assert refused(lambda: client.usergroups_users_list(usergroup="S0404")) == "no_such_subteam"
    assert client.usergroups_list(include_users=True)["usergroups"][0]["users"] == ["U0001"]
    theirs = client.users_conversations(user="U0001", types="public_channel,private_channel")["channels"]
    assert {channel["id"] for channel in theirs} == {"C0001", "C0002", "C0004"}


def test_reactions(slack: Sandbox, client: WebClient) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    message = ada.say("C0001", "hello")
    client.reactions_add(channel="C0001", timestamp=message.ts, name="eyes")
    add = client.reactions_add
    assert refused(lambda: add(channel="C0001", timestamp=message.ts, name="eyes")) == "already_reacted"
    assert refused(lambda: add(channel="C0001", timestamp=message.ts, name="no good!")) == "invalid_name"
    ada.react(message, ":eyes:")
    got = client.reactions_get(channel="C0001", timestamp=message.ts)
    assert got["message"]["reactions"] == [{"name": "eyes", "users": [slack.bot_user_id, "U0001"], "count": 2}]
    client.reactions_remove(channel="C0001", timestamp=message.ts, name="eyes")
    assert message.reactions == {"eyes": ["U0001"]}
    slack.problems.clear()


def test_trouble_on_demand(slack: Sandbox) -> None:
    slack.channel("C0001", "checkout")
    # Without the retries that slack_sdk makes by itself.
    client = WebClient(token=slack.bot_token, base_url=slack.api_url, timeout=60, retry_handlers=[])
    impatient = WebClient(token=slack.bot_token, base_url=slack.api_url, timeout=1, retry_handlers=[])
    slack.faults.rate_limit("chat.*", retry_after=7)
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel="C0001", text="one")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["retry-after"] == "7"
    slack.faults.fail("chat.postMessage", status=503)
    with pytest.raises(SlackApiError):
        client.chat_postMessage(channel="C0001", text="two")
    slack.faults.refuse("chat.postMessage", "restricted_action")
    assert refused(lambda: client.chat_postMessage(channel="C0001", text="three")) == "restricted_action"
    assert slack.messages("C0001") == []
    cut = slack.faults.cut("chat.postMessage")
    with pytest.raises(OSError):
        client.chat_postMessage(channel="C0001", text="taken, but nobody was told")
    assert cut.hits == 1
    slack.faults.cut("chat.postMessage", performed=False)
    with pytest.raises(OSError):
        client.chat_postMessage(channel="C0001", text="lost")
    slack.faults.slow("chat.postMessage", 15)  # so long that nobody takes the answer for one in time
    with pytest.raises(TimeoutError):
        impatient.chat_postMessage(channel="C0001", text="taken late")
    slack.wait_until(lambda: len(slack.messages("C0001")) == 2)
    assert [m.text for m in slack.messages("C0001")] == ["taken, but nobody was told", "taken late"]
    held = slack.faults.hold("auth.test")
    with pytest.raises(TimeoutError):
        impatient.auth_test()
    slack.faults.remove(held)
    assert client.auth_test()["ok"]
    every = slack.faults.fail("*", times=None)
    for _ in range(3):
        with pytest.raises(SlackApiError):
            client.auth_test()
    slack.faults.remove(every)
    assert client.auth_test()["ok"] and every.hits == 3
    assert len(slack.problems) == 0


def test_a_client_that_retries_gets_through_a_cut_connection(slack: Sandbox) -> None:
    retrying = ConnectionErrorRetryHandler(max_retry_count=2)
    client = WebClient(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[retrying])
    slack.faults.cut("auth.test", times=1)
    assert client.auth_test()["ok"]


@pytest.mark.usefixtures("still")
def test_slack_s_pace(slack: Sandbox, client: WebClient) -> None:
    slack.channel("C0001", "one")
    slack.channel("C0002", "two")
    slack.limits.on()
    say = client.chat_postMessage
    assert say(channel="C0001", text="x")["ok"] and say(channel="C0002", text="x")["ok"]
    assert refused(lambda: say(channel="C0001", text="y")) == "ratelimited"
    slack.clock.advance(1)
    assert say(channel="C0001", text="y")["ok"]
    for _ in range(20):
        client.users_list()
    with pytest.raises(SlackApiError) as caught:
        client.users_list()
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
    slack.clock.advance(61)
    assert client.users_list()["ok"]
    slack.limits.off()
    slack.limits.history_per_minute = 1
    client.conversations_history(channel="C0001")
    assert refused(lambda: client.conversations_history(channel="C0001")) == "ratelimited"


@pytest.mark.usefixtures("still")
def test_files_take_their_time(slack: Sandbox, client: WebClient) -> None:
    ops = slack.channel("C0001", "checkout")
    picture = b"\x89PNG not really"
    client.files_upload_v2(channel="C0001", filename="chart.png", content=picture, initial_comment="Look")
    [message] = slack.messages(ops)
    file_id = message.raw["files"][0]["id"]
    assert message.raw["files"][0]["mimetype"] == "" and message.text == "Look"
    image = {"type": "image", "slack_file": {"id": file_id}, "alt_text": "a chart"}
    say = client.chat_postMessage
    assert refused(lambda: say(channel="C0001", text="chart", blocks=[image])) == "invalid_blocks"
    slack.clock.advance(1)
    file = client.files_info(file=file_id)["file"]
    assert file["mimetype"] == "image/png" and file["channels"] == ["C0001"] and file["size"] == len(picture)
    assert say(channel="C0001", text="chart", blocks=[image])["ok"]
    with urlopen(Request(file["url_private"], headers={"Authorization": f"Bearer {slack.bot_token}"})) as response:
        assert response.read() == picture and response.headers["content-type"] == "image/png"
    ticket = client.files_getUploadURLExternal(filename="../../etc/passwd", length=3)
    completion = [{"id": ticket["file_id"]}]
    assert refused(lambda: client.files_completeUploadExternal(files=completion)) == "file_not_found"
    with urlopen(ticket["upload_url"], b"abc") as response:
        assert response.read() == b"OK - 3"
    assert client.files_completeUploadExternal(files=completion)["files"][0]["name"] == "passwd"
    client.files_delete(file=file_id)
    assert refused(lambda: client.files_info(file=file_id)) == "file_deleted"
    assert len(slack.problems.take("invalid_blocks")) == 1


def test_files_are_for_messages_that_stay(slack: Sandbox, client: WebClient) -> None:
    slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    image = {"type": "image", "slack_file": {"id": "F012345678"}, "alt_text": "a chart"}
    show = client.chat_postEphemeral
    assert refused(lambda: show(channel="C0001", user="U0001", text="x", blocks=[image])) == "invalid_blocks"
    slack.problems.clear()


def test_half_a_character_goes_through(slack: Sandbox) -> None:
    slack.channel("C0001", "checkout")
    body = b'{"channel": "C0001", "text": "half \\ud83d"}'
    answer = post(slack, "chat.postMessage", body, "application/json; charset=utf-8", slack.bot_token)
    assert answer["message"]["text"] == "half \ud83d"
