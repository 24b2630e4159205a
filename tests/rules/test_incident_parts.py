"""The parts that card and view share: one form each, within Slack's limits whatever the data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.messages.card import render_card, render_thread_entry, strip_blocks
from bot.messages.incident_parts import render_seen
from sandbox.block_kit import check_message
from sandbox.driver.surface import texts_in
from storage.rows import DESCRIPTION, ActivityEntry, CardContent, IncidentDetails, Mentions, Seen
from storage.values import ActivityType, Status

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("names", "count", "shown"),
    [
        ([], 0, "Nobody has acknowledged this yet"),
        (["Ada"], 1, "Seen by Ada"),
        (["Ada", "Ben"], 2, "Seen by Ada and Ben"),
        (["Ada", "Ben", "Cyn"], 3, "Seen by Ada, Ben and Cyn"),
        (["Ada", "Ben", "Cyn", "Dan"], 4, "Seen by Ada, Ben and 2 more"),
        (["Ada", "Ben", "Cyn", "Dan"], 1234, "Seen by Ada, Ben and 1232 more"),
        (["<Ada> & Co"], 1, "Seen by &lt;Ada&gt; &amp; Co"),
    ],
)
def test_who_has_seen_an_incident_has_one_form(names: list[str], count: int, shown: str) -> None:
    assert render_seen([Seen(name, NOW) for name in names], count) == shown


def content(text: str, status: Status, *, many: int) -> CardContent:
    """A card in which every text is as long as the database or the intake lets it be."""

    def long(length: int) -> str:
        return (text * length)[:length]

    entry = ActivityEntry(1, ActivityType.STATUS_CHANGE, 1, long(200), status, Status.OPEN, long(8000), NOW, None)
    details = IncidentDetails(
        id=1,
        identifier=10**9,
        title=long(255),
        status=status,
        environment=long(64),
        url="https://h.test/" + "&" * 1900,
        source="grafana",
        date_started=NOW,
        date_closed=NOW + timedelta(days=1000) if status is Status.CLOSED else None,
        team=long(255),
        projects=[long(50)] * many,
        seen=[Seen(long(255), NOW)] * min(many, 10),
        seen_count=many,
        seen_by_caller=False,
        subscribed=False,
        latest=None,
        mentions=Mentions(),
        links=[(long(60), "https://h.test/" + "x" * 2800)] * min(many, 10),
        facts=[(DESCRIPTION, long(2000)), *[(long(60), long(300))] * min(many, 30)],
    )
    return CardContent(details, entry, Mentions())


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("many", [1, 500])
@pytest.mark.parametrize("text", ["x", "&", "* ", "https://x.test/?a&b ", "`", "\u202e", "💣"])
def test_a_card_is_within_slacks_limits_whatever_its_texts(text: str, many: int, status: Status) -> None:
    shown = content(text, status, many=many)
    rendered = render_card(shown)
    assert check_message(rendered) == []
    assert check_message(strip_blocks(dict(rendered))) == []
    assert shown.shown_entry is not None
    entry = render_thread_entry(shown.shown_entry, Mentions())
    assert check_message(entry) == []
    for blocks in (rendered["blocks"], entry["blocks"]):
        assert sum(map(len, texts_in(blocks))) < 10_000
