"""The parts that card and view share: one form each, within Slack's limits whatever the data."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.messages.incident_parts import render_seen
from storage.rows import Seen

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
