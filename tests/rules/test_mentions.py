"""What rich text is kept of, and how it reads."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.incidents.errors import InvalidInput
from bot.messages.comments import render_comment, render_comment_with_names, render_editable
from bot.people.rich_text import sanitize, to_mrkdwn
from storage.rows import Mentionable, Mentions

MENTIONS = Mentions({7: Mentionable("Ada <Obi>", "U7")}, {8: Mentionable("R&D", "S8")})


def keep(block: Any) -> dict[str, Any]:
    return sanitize(
        block,
        person=lambda user: 7 if user == "U7" else 0,
        team=lambda group: 8 if group == "S8" else 0,
        plain=lambda said: [said] if said else [],
    )


def section(*elements: dict[str, Any], kind: str = "rich_text_section", **more: Any) -> dict[str, Any]:
    return {"type": kind, "elements": list(elements), **more}


def block(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": list(containers)}


def text(said: str, **style: bool) -> dict[str, Any]:
    return {"type": "text", "text": said, **({"style": style} if style else {})}


EVERYTHING = block(
    section(text("Ask "), {"type": "user", "user_id": "U7"}, text(" or "), {"type": "usergroup", "usergroup_id": "S8"}),
    section(text("bold ", bold=True), text("both", bold=True, italic=True), text(" & <b>"), text(" x", code=True)),
    section({"type": "link", "url": "https://x.test/a|b", "text": "a|b"}, text(" "), {"type": "emoji", "name": "fire"}),
    section({"type": "channel", "channel_id": "C1"}, {"type": "color", "value": "#ff0000"}),
    section(section(text("one")), section(text("two")), kind="rich_text_list", style="ordered", indent=0, offset=2),
    section(section(text("dot")), kind="rich_text_list", style="bullet", indent=1),
    section(text("said\ntwice"), kind="rich_text_quote"),
    section(text("code <x>\nmore"), kind="rich_text_preformatted"),
)


def test_rich_text_reads_as_slack_shows_it() -> None:
    assert to_mrkdwn(keep(EVERYTHING)).splitlines() == [
        "Ask <person:7> or <team:8>",
        "*bold* _*both*_ &amp; &lt;b&gt; `x`",
        "<https://x.test/a%7Cb|a¦b> :fire:",
        "<#C1>#ff0000",
        "3. one",
        "4. two",
        "    ◦ dot",
        "&gt; said",
        "&gt; twice",
        "```code &lt;x&gt;",
        "more```",
    ]


def test_rich_text_comes_back_as_it_was_typed() -> None:
    back = render_editable("", keep(EVERYTHING), MENTIONS)
    again = render_editable("", keep(back), MENTIONS)
    assert again == back
    assert back["elements"][0] == EVERYTHING["elements"][0]
    assert keep(back) == keep(EVERYTHING)


def test_broadcasts_become_words() -> None:
    stored = keep(block(section({"type": "broadcast", "range": "channel"})))
    assert to_mrkdwn(stored) == "@channel" and "broadcast" not in str(stored)


def test_whoever_is_no_longer_known_is_named_and_not_called() -> None:
    assert render_comment("<person:7> <team:8> <person:9>", MENTIONS) == "<@U7> <!subteam^S8> @someone"
    assert render_comment_with_names("<person:7> <team:8>", MENTIONS) == "@Ada &lt;Obi&gt; @R&amp;D"
    unknown = Mentions({7: Mentionable("Ada", None)})
    assert render_comment("<person:7>", unknown) == "@Ada"
    assert render_editable("<person:7> & more", None, unknown)["elements"][0]["elements"][0] == text("@Ada")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "elements", "text", "url", "style", "user_id", "indent", "offset", "name"]),
            inner | st.sampled_from(["rich_text_section", "rich_text_list", "text", "link", "user", "emoji", "bullet"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=4))
def test_whatever_comes_is_kept_well_formed_or_refused(containers: list[Any]) -> None:
    try:
        stored = keep({"type": "rich_text", "elements": containers})
    except InvalidInput:
        return
    to_mrkdwn(stored)
    assert keep(render_editable("", stored, MENTIONS)) is not None
