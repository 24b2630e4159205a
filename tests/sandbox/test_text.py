"""What Slack makes of a message that a person wrote with bold words, lists and the like."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import Sandbox
from sandbox.text import rich_message


def text(words: str, **style: bool) -> dict[str, Any]:
    return {"type": "text", "text": words, **({"style": style} if style else {})}


def section(*leaves: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(leaves)}


def items(style: str, *words: str, **more: int) -> dict[str, Any]:
    return {"type": "rich_text_list", "style": style, "elements": [section(text(one)) for one in words], **more}


# The first is the sample of github.com/slack-go/slack/pull/1155, as Slack sent it.
@pytest.mark.parametrize(
    ("elements", "written"),
    [
        (
            [
                section(text("test message with list\n")),
                items("ordered", "first point", "second point"),
                items("bullet", "first bullet", "second bullet"),
            ],
            "test message with list\n1. first point\n2. second point\n• first bullet\n• second bullet\n",
        ),
        ([section(text("now "), text("both", bold=True, italic=True), text(" <&>"))], "now *_both_* &lt;&amp;&gt;"),
        ([section(text("a*b", code=True), text(" "), text("gone", strike=True))], "`a*b` ~gone~"),
        (
            [
                section(
                    {"type": "link", "url": "https://a.test/?b&c", "text": "here"}, {"type": "emoji", "name": "fire"}
                )
            ],
            "<https://a.test/?b&amp;c|here>:fire:",
        ),
        (
            [section({"type": "user", "user_id": "U0001"}, {"type": "usergroup", "usergroup_id": "S0001"})],
            "<@U0001><!subteam^S0001|@payments>",
        ),
        (
            [section({"type": "channel", "channel_id": "C0001"}, {"type": "broadcast", "range": "here"})],
            "<#C0001|ops><!here>",
        ),
        ([{"type": "rich_text_quote", "elements": [text("one\ntwo")]}], "&gt; one\n&gt; two\n"),
        ([{"type": "rich_text_preformatted", "elements": [text("x = 1")]}], "```x = 1```\n"),
        ([items("ordered", "third", offset=2), items("bullet", "deeper", indent=1)], "3. third\n    • deeper\n"),
    ],
)
def test_a_rich_text_is_written_out(elements: list[dict[str, Any]], written: str) -> None:
    slack = Sandbox()
    slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "ops")
    slack.usergroup("S0001", "payments", "Payments")
    found, blocks = rich_message({"type": "rich_text", "elements": elements}, slack.platform.workspace)
    assert found == written
    assert blocks[0]["elements"] == elements
