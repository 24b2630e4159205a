"""A direct message about many incidents that somebody follows and that changed at once."""

from __future__ import annotations

from bot.messages.blocks import MAX_SECTION, Message, actions, bold, button, message, section, truncate
from bot.messages.incident import STATUS_SIGNS, render_title
from bot.messages.incident_parts import STATUS_NAMES
from storage.rows import SummaryContent

TITLE_LENGTH = 150  # characters of an incident's title


def render_summary(content: SummaryContent) -> Message:
    """How many changes there were, and the present state of the incidents, open ones first."""
    total = f"{_count(content.changes, 'change')} to {_count(content.incidents, 'incident')} that you follow"
    lines = [
        f"{STATUS_SIGNS[line.status]} {render_title(line.identifier, truncate(line.title, TITLE_LENGTH))}"
        f" – {STATUS_NAMES[line.status]}"
        for line in content.lines
    ]
    if more := content.incidents - len(lines):
        lines.append(f"and {more:,} more")
    shown = truncate("\n".join(lines), MAX_SECTION)
    return message(total, [section(bold(total)), section(shown), actions([button("List", "summary_list", "-")])])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
