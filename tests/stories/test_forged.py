"""What no button of ours ever said: forged values, cursors, forms and rich text, each answered and harmless."""

from __future__ import annotations

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from bot.handlers.verb import Registry
from sandbox.records import Json
from tests.stories.conftest import World
from tests.stories.test_permissions import SECRET, state


def last_sent(world: World, kind: str) -> Json:
    """The latest payload of that type that the bot was sent."""
    return next(exchange.sent for exchange in reversed(world.slack.sent) if exchange.sent.get("type") == kind)


HUGE = str(10**30)
GARBAGE = [
    *(
        "",
        " ",
        "0",
        "-1",
        "77",
        HUGE,
        "1.5",
        "1e3",
        "²",
        "١",
        "null",
        "1:1:1",
        ":",
        "1:x",
        ":1",
        "1:-1",
        f"1:{HUGE}",
    ),
    *("{}", "[]", '{"q":"all"}', '{"q":"all","t":"x","i":1,"b":false}', '{"q":1,"t":1,"i":1,"b":1}'),
    '{"q":"all","t":"2020-01-01T00:00:00","i":1,"b":false}',
    '{"q":"all","t":"2020-01-01T00:00:00+00:00","i":' + HUGE + ',"b":false}',
    '{"q":"all","t":"0001-01-01T00:00:00+23:00","i":1,"b":true}',
    '{"q":"all","t":"9999-12-31T23:59:59-23:00","i":1,"b":false}',
    '{"q":"project:catalogue","t":"2020-01-01T00:00:00+00:00","i":1,"b":true}',
    '{"q":"since:yesterday","t":"2020-01-01T00:00:00+00:00","i":1,"b":true}',
    *("\x00", "\ud800", "1\x00", "'; DROP TABLE incident; --", "💣" * 1000),
]


def test_forged_button_values_are_answered_and_harmless(world: World) -> None:
    world.declare("Pay", by=world.dan, options="project:checkout")
    world.declare(SECRET, by=world.dan, options="project:catalogue")
    shown = world.view(world.ben, 1)
    world.ben.press(shown, "Activity")
    world.ben.wait_for_form("Incident").close()
    payload = last_sent(world, "block_actions")
    before = state(world)
    # The buttons that open help, a form of filters or an empty one say nothing of any incident, whatever their value.
    # What nobody owns may be taken over from anybody.
    for action in [
        *(Registry.collect().buttons.keys() - {"declare", "list_filter", "help_all", "take_over"}),
        "unknown",
        "",
        "x" * 255,
    ]:
        for value in GARBAGE:
            forged = copy.deepcopy(payload)
            forged["actions"][0] |= {"action_id": action, "value": value}
            forged["container"]["is_ephemeral"] = False
            world.ben.replay(forged)  # raises unless it is acknowledged
            form = world.ben.form
            if form:  # some ask for nothing but what anybody may fill in
                assert SECRET not in form.text and "Pay" not in form.text, (action, value)
                form.close(everything=True)
    world.settle()
    assert state(world) == before
    said = [message.text for message in world.ben.sees(world.cast.checkout)]
    assert not any(SECRET in text for text in said)
    assert not any("went wrong" in text for text in said), {t for t in said if "went wrong" in t}


@pytest.mark.parametrize("callback", ["resolve", "comment", "comment_edit"])
def test_forged_forms_are_answered_and_harmless(world: World, callback: str) -> None:
    world.joined_long_ago()  # what does not say for which organization it was drawn is not refused for that alone
    world.declare("Pay", by=world.dan, options="project:checkout")
    world.declare(SECRET, by=world.dan, options="project:catalogue")
    world.ben.press(world.view(world.ben, 1), "Comment")
    world.ben.wait_for_form("Comment #1").fill("Comment", "hello").submit()
    payload = last_sent(world, "view_submission")
    before = state(world)
    metadata = [
        *("", "null", "[]", "1", '"x"', "{", "{}", '{"n":null}', '{"n":[]}', '{"n":{}}', '{"n":2}', '{"n":"2"}'),
        *(
            '{"n":true}',
            '{"n":1.5}',
            f'{{"n":{HUGE}}}',
            '{"n":-1}',
            '{"n":2,"c":1}',
            '{"n":"\\u0000"}',
            '{"n":"\\ud800"}',
        ),
    ]
    if callback == "comment_edit":
        metadata += ['{"n":1,"c":[]}', f'{{"n":1,"c":{HUGE}}}', '{"n":1,"c":1}', '{"n":1}']
    for number, text in enumerate(metadata):
        forged = copy.deepcopy(payload)
        forged["view"] |= {"id": f"V{callback}{number}", "callback_id": callback, "private_metadata": text}
        done = world.ben.replay(forged)
        assert done.answer.get("response_action") == "errors", text
        assert SECRET not in str(done.answer) and "went wrong" not in str(done.answer), (text, done.answer)
    world.settle()
    assert state(world) == before


def section(*elements: Any) -> Json:
    """A rich text block of one section."""
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}


@pytest.mark.parametrize(
    "rich_text",
    [
        None,
        {},
        [],
        "text",
        {"type": "rich_text"},
        {"type": "rich_text", "elements": None},
        {"type": "rich_text", "elements": [None, 1, "x", [], {}]},
        {"type": "rich_text", "elements": [{"type": "rich_text_section"}]},
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_list", "indent": "x", "offset": [], "elements": [{}]}],
        },
        section({"type": "user"}),
        section({"type": "user", "user_id": "<!channel>"}),
        section({"type": "usergroup", "usergroup_id": None}),
        section({"type": "text", "text": "a\x00b"}),
        section({"type": "text", "text": "a\ud800b"}),
        section({"type": "text", "text": "x" * 9000}),
        section({"type": "link", "url": "a\x00"}),
        section({"type": "emoji", "name": "\x00"}),
        section({"type": "\x00"}),
        section(*({"type": "user", "user_id": f"U9{number}"} for number in range(50))),
    ],
)
def test_forged_rich_text_is_refused_in_the_form(world: World, rich_text: Any) -> None:
    world.declare("Pay", by=world.dan, options="project:checkout")
    world.ben.press(world.view(world.ben, 1), "Comment")
    world.ben.wait_for_form("Comment #1").fill("Comment", "hello").submit()
    payload = copy.deepcopy(last_sent(world, "view_submission"))
    before = state(world)
    payload["view"]["id"] = "V1X"
    payload["view"]["state"]["values"]["comment"]["comment"]["rich_text_value"] = rich_text
    done = world.ben.replay(payload)
    assert done.answer.get("response_action") == "errors"
    assert "went wrong" not in str(done.answer)
    assert state(world) == before


FORGED_PARTS: list[Json] = [
    {"type": "emoji", "name": "x: <!channel> :y"},
    {"type": "emoji", "name": "eyes", "unicode": "<!channel>", "skin_tone": 99},
    {"type": "channel", "channel_id": "C0001> <!channel> <#C0001"},
    {"type": "channel", "channel_id": "!channel"},
    {"type": "color", "value": "<!channel>"},
    {"type": "date", "timestamp": 1, "format": "<!channel>", "fallback": "<!channel>", "url": "<!channel>"},
    {"type": "date", "timestamp": -1, "format": "{date}"},
    {"type": "link", "url": "https://a.test|<!channel>", "text": "<!channel>"},
    {"type": "link", "url": "javascript:alert(1)", "text": "press"},
    {"type": "text", "text": "<!channel> <!subteam^S0001>", "style": {"bold": True, "<!channel>": True}},
    {"type": "broadcast", "range": "channel> <!here"},
    {"type": "something", "text": "<!channel>"},
    {"type": "text", "text": " forged"},
]
_SECTION = {"type": "rich_text_section", "elements": FORGED_PARTS}
FORGED: Json = {
    "type": "rich_text",
    "elements": [
        _SECTION,
        {"type": "rich_text_preformatted", "border": 7, "elements": FORGED_PARTS},
        {"type": "rich_text_quote", "border": "<!channel>", "elements": FORGED_PARTS},
        {"type": "rich_text_list", "style": "<!channel>", "elements": [_SECTION]},
        {"type": "rich_text_list", "style": "ordered", "offset": -4, "indent": 99, "elements": [_SECTION]},
        {"type": "rich_text_section", "elements": [{"type": "text", "text": "the end"}]},
    ],
}


def test_forged_rich_text_calls_nobody_and_can_be_edited(world: World) -> None:
    world.declare("Pay", by=world.dan, options="project:checkout")
    world.ben.press(world.view(world.ben, 1), "Comment")
    world.ben.wait_for_form("Comment #1").fill("Comment", "hello").submit()
    payload = copy.deepcopy(last_sent(world, "view_submission"))
    payload["view"]["id"] = "V1X"
    payload["view"]["state"]["values"]["comment"]["comment"]["rich_text_value"] = FORGED
    assert not world.ben.replay(payload).answer
    world.rest()
    page = world.see(world.ben, "activity 1")
    assert page.text.count("forged") == 5 and "the end" in page.text
    everything = [message.markup for message in world.slack.messages("C0001")]
    everything += [reply.markup for message in world.slack.messages("C0001") for reply in message.thread]
    everything += [message.markup for message in world.dan.direct_messages()] + [page.markup]
    for markup in everything:
        assert "<!" not in markup.replace("<!date^", ""), markup
        assert "<javascript" not in markup
    world.ben.press(page, "Edit", row=0)
    assert world.ben.wait_for_form().submit().closed  # the sandbox refuses a form with what Slack does not know


def test_a_form_that_names_another_hosts_response_url_posts_nothing_there(world: World) -> None:
    called: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            called.append(self.path)
            self.send_response(200)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"
    try:
        world.joined_long_ago()
        world.declare("Pay", by=world.dan, options="project:checkout")
        world.ben.press(world.view(world.ben, 1), "Comment")
        world.ben.wait_for_form("Comment #1").fill("Comment", "hello").submit()
        payload = last_sent(world, "view_submission")
        ours = world.slack.api_url.removesuffix("/api/").removeprefix("http://")
        for number, url in enumerate(
            (
                *(
                    f"http://{host}/x",
                    f"http://{ours}@{host}/x",
                    f"http://{host}/x?{ours}",
                    f"http://{host}#{ours}",
                ),
                *("x", "//", "http://[", f"file://{ours}/etc/passwd", 7, []),
            )
        ):
            forged = copy.deepcopy(payload)
            forged["view"]["id"] = f"V{number}"
            forged["view"]["private_metadata"] = json.dumps({"n": 1, "r": url, "e": True})
            assert not world.ben.replay(forged).answer  # the comment itself is Ben's to make
        world.settle()
        assert called == []
    finally:
        server.shutdown()
        server.server_close()
