"""Digests as a channel sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from bot.incidents.errors import InvalidInput
from bot.incidents.markup import encode_entities, escape
from bot.incidents.severities import SEVERITIES, WORST_FIRST
from bot.messages.blocks import (
    Block,
    Element,
    Message,
    actions,
    bold,
    button,
    context,
    format_date,
    format_duration,
    header,
    message,
    section,
    truncate,
)
from bot.messages.entries import render_entry
from bot.messages.incident import STATUS_SIGNS, render_silences_ending, render_title
from bot.messages.incident_parts import PLACE_LENGTH, SEVERITY_LABELS, render_seen_by
from storage.digest_rows import DailyCounts, DigestContent, Missed, News, OpenLine
from storage.digest_rows import IncidentName as NamedIncident
from storage.rows import Mentions
from storage.values import ActivityType, Status

LATEST_ENTRY_LENGTH = 200  # characters
TITLE_LENGTH = 120  # characters of a title where only the titles of incidents are listed
# The log entries with which an incident begins. They are no news beside its age.
_OPENING = (ActivityType.CREATED, ActivityType.DETECTED)
# The errors for a channel that will not accept messages again without an action by somebody, and their meaning.
LOST_CHANNEL_REASONS = {
    "channel_not_found": "the channel no longer exists, or Tocsin is no longer in it.",
    "not_in_channel": "Tocsin is no longer in the channel.",
    "is_archived": "the channel is archived.",
    "is_inactive": "the channel is archived.",
    "no_permission": "Tocsin may not post in the channel.",
    "restricted_action": "Tocsin may not post in the channel.",
    "shared_with_another_company": (
        "the channel is now shared with another company, and the organization file does not allow that."
    ),
}
_SLACK_ERROR = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Summary:
    """A digest's schedule and filters in words."""

    schedule: str  # "weekdays at 9:00 AM"
    zone: str
    filters: str  # "" for none
    show: str = "open"  # what the filters select: a severity, "open" or "all"

    @property
    def when(self) -> str:
        """The schedule and its zone as mrkdwn."""
        return f"{escape(self.schedule)} ({escape(self.zone)})"

    @property
    def what(self) -> str:
        """The filters as mrkdwn after a separator; empty if there are none."""
        return f" · `{encode_entities(self.filters)}`" if self.filters else ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An uploaded picture."""

    file_id: str
    alt: str


# --- the digest --------------------------------------------------------------------------------------------


def render_digest(
    content: DigestContent,
    summary: Summary,
    *,
    fire_id: int | None,
    picture: Picture | None = None,
    preview: bool = False,
) -> Message:
    """A page of a digest. A preview has no picture. Without `fire_id` the other pages are previews too.

    What needs attention comes first: numbers, what was missed, and the most severe incidents.
    """
    if not content.counts.total:
        return _render_nothing_open(content, summary)
    heading = _render_heading(content)
    blocks: list[Block] = [header(heading), section(_render_numbers(content) + _render_filters(summary))]
    if content.missed:
        blocks.append(context(_render_missed(content.missed)))
    blocks += _render_lines(content)
    turning = _build_page_buttons(content, fire_id)
    if turning:
        blocks.append(actions(turning))
    if content.number == 0:
        blocks.append(section(_render_news(content.news)))
        if picture:
            blocks.append(_render_picture(picture))
    blocks.append(context(_render_footer(content, summary)))
    text = f"{heading}: {_render_plain_counts(content)}" + (" (preview)" if preview else "")
    return message(text, blocks)


def _render_nothing_open(content: DigestContent, summary: Summary) -> Message:
    severity = f"{summary.show} " if summary.show in SEVERITIES else ""
    others = summary.filters.removeprefix(summary.show).strip()
    text = f"No {severity}incidents open" + (f" for `{encode_entities(others)}`" if others else "") + "."
    blocks = [section(f":white_check_mark: {bold(text)}")]
    if content.counts.silenced:
        blocks.append(context(f":no_bell: {_count_silenced(content)}"))
    if content.missed:
        blocks.append(context(_render_missed(content.missed)))
    if content.news.opened or content.news.resolved:
        blocks.append(section(_render_news(content.news)))
    blocks.append(context(_render_footer(content, summary)))
    return message(text, blocks)


def _render_heading(content: DigestContent) -> str:
    total = content.counts.total
    return f"{total:,} open incident{'s' if total != 1 else ''}"


def _render_numbers(content: DigestContent) -> str:
    """How many are open by severity, how many are not acknowledged, and what was resolved: two lines."""
    open_ = " · ".join(
        f"{STATUS_SIGNS[severity]} *{count:,}* {SEVERITY_LABELS[severity].lower()}"
        for severity, count in _list_by_severity(content.counts.by_status)
    )
    since = format_date(content.news.since)
    unowned = content.counts.unowned
    owning = f" · :bust_in_silhouette: *{unowned:,}* acknowledged, but without an owner" if unowned else ""
    resolved = f" · :white_check_mark: *{content.news.resolved:,}* resolved since {since}"
    silenced = f" · :no_bell: *{content.counts.silenced:,}* silenced" if content.counts.silenced else ""
    return f"{open_}\n{_render_unseen(content)}{resolved}{owning}{silenced}"


def _count_silenced(content: DigestContent) -> str:
    count = content.counts.silenced
    return "1 open incident is silenced." if count == 1 else f"{count:,} open incidents are silenced."


def _render_unseen(content: DigestContent) -> str:
    unseen = content.counts.unseen
    if not unseen:
        return ":eyes: all acknowledged"
    critical = content.counts.unseen_by_status.get(Status.CRITICAL, 0)
    return f":eyes: *{unseen:,}* not acknowledged" + (f" ({critical:,} critical)" if critical else "")


def _list_by_severity(counts: Mapping[Status, int]) -> list[tuple[Status, int]]:
    return [(severity, counts[severity]) for severity in WORST_FIRST if counts.get(severity)]


def _render_plain_counts(content: DigestContent) -> str:
    counts = content.counts
    by_severity = [f"{count:,} {SEVERITY_LABELS[one].lower()}" for one, count in _list_by_severity(counts.by_status)]
    return ", ".join(by_severity) + f"; {counts.unseen:,} not acknowledged"


def _render_filters(summary: Summary) -> str:
    return f"\nOnly `{encode_entities(summary.filters)}`" if summary.filters else ""


def _render_missed(missed: Missed) -> str:
    reason = render_reason(missed.reason)
    if missed.first == missed.last:
        return f":warning: The digest of {format_date(missed.last)} was missed: {reason}"
    return f":warning: The digests from {format_date(missed.first)} to {format_date(missed.last)} were missed: {reason}"


def render_reason(reason: str | None) -> str:
    """Why a digest was missed (mrkdwn). `reason` is as stored: a sentence, or an error of Slack's."""
    if not reason:
        return "it could not be sent in time."
    if reason in LOST_CHANNEL_REASONS:
        return LOST_CHANNEL_REASONS[reason]
    if _SLACK_ERROR.fullmatch(reason):
        return f"Slack did not accept it (`{reason}`)."
    return encode_entities(reason)


def _render_lines(content: DigestContent) -> Iterator[Block]:
    mentions = _without_slack_ids(content.page.mentions)
    severity: Status | None = None
    for line in content.page.lines:
        if line.status != severity:
            severity = line.status
            yield context(f"*{SEVERITY_LABELS[severity]}* · {content.counts.by_status.get(severity, 0):,}")
        yield _render_line(line, mentions, content.as_of)


def _render_line(line: OpenLine, mentions: Mentions, now: datetime) -> Block:
    facts = [truncate(escape(line.team or ", ".join(line.projects)), PLACE_LENGTH)]
    if line.environment:
        facts.append(escape(line.environment))
    facts.append(f"open for {format_duration(line.date_started, now)}")
    if line.owner:
        facts.append(f"owned by {escape(line.owner)}")
    facts.append(render_seen_by(line.seen_by, line.seen_count) if line.seen_count else "*not acknowledged*")
    if line.seen_count and not line.owner:
        facts.append("*without an owner*")
    text = f"{STATUS_SIGNS[line.status]} {bold(render_title(line.identifier, line.title))}\n" + " · ".join(facts)
    if line.latest and line.latest.type not in _OPENING:
        text += "\n" + " ".join(render_entry(line.latest, mentions, LATEST_ENTRY_LENGTH).split())
    return section(text, accessory=button("View", "view", str(line.identifier)))


def _without_slack_ids(mentions: Mentions) -> Mentions:
    """The same people and teams without their Slack ids, so that digests name them and do not notify them."""
    return Mentions(
        *(
            {id_: replace(one, slack_id=None) for id_, one in found.items()}
            for found in (mentions.people, mentions.teams)
        )
    )


def _render_news(news: News) -> str:
    text = f"*Since {format_date(news.since)}*\n{news.opened:,} opened, {news.resolved:,} resolved"
    medians = [
        f"{_format_span(span)} to {what}"
        for span, what in ((news.to_acknowledge, "acknowledge"), (news.to_resolve, "resolve"))
        if span is not None
    ]
    if medians:
        text += " · median " + ", ".join(medians)
    for label, named, count in (
        ("Opened", news.latest_opened, news.opened),
        ("Resolved", news.latest_resolved, news.resolved),
    ):
        if named:
            text += f"\n{label}: {_render_names(named, count)}"
    return text


def _render_names(named: Sequence[NamedIncident], count: int) -> str:
    more = count - len(named)
    listed = ", ".join(truncate(render_title(one.identifier, one.title), TITLE_LENGTH) for one in named)
    return listed + (f" and {more:,} more" if more > 0 else "")


def _format_span(span: timedelta) -> str:
    start = datetime(2000, 1, 1, tzinfo=UTC)
    return format_duration(start, start + span)


def _render_footer(content: DigestContent, summary: Summary) -> str:
    parts = [f"Page {content.number + 1:,} of {content.pages:,}"] if content.pages > 1 else []
    parts += [f"As of {format_date(content.as_of)}", summary.when]
    if content.silences_ending:
        parts.append(render_silences_ending(content.silences_ending))
    if content.next_fire_at:
        parts.append(f"Next digest {format_date(content.next_fire_at)}")
    return " · ".join(parts)


def _render_picture(picture: Picture) -> Block:
    return {"type": "image", "slack_file": {"id": picture.file_id}, "alt_text": picture.alt[:2000]}


def _build_page_buttons(content: DigestContent, fire_id: int | None) -> list[Element]:
    def value(number: int) -> str:
        place = {"d": content.digest.id, "f": fire_id, "p": number}
        return json.dumps(place, separators=(",", ":"))

    buttons = []
    if content.number > 0:
        buttons.append(button("Previous", "digest_previous", value(content.number - 1)))
    if content.number + 1 < content.pages:
        buttons.append(button("Next", "digest_next", value(content.number + 1)))
    return buttons


def parse_position(value: str) -> tuple[int, int | None, int]:
    """Parses a button's value into digest id, fire id (None: a preview) and page number from 0. Raises InvalidInput."""
    try:
        found = json.loads(value)
        fire = found["f"]
        place = int(found["d"]), None if fire is None else int(fire), int(found["p"])
        if not all(number is None or 0 <= number < 2**63 for number in place):
            raise ValueError
        return place
    except (ValueError, KeyError, TypeError, OverflowError):
        raise InvalidInput("This button no longer works. `digest list` shows the digests.") from None


def render_alt_text(counts: DailyCounts) -> str:
    """The alternative text of the picture (plain text): its numbers, day by day."""
    days = []
    for number, day in enumerate(counts.days):
        opened = [
            f"{counts.opened[one][number]:,} {SEVERITY_LABELS[one].lower()}" for one in _list_opened(counts, number)
        ]
        left = counts.open_at_end[number]
        when = "now" if number + 1 == len(counts.days) else "at the end"
        days.append(f"{format_day(day)}: {', '.join(opened) or 'none'}; {left:,} open {when}.")
    return f"Incidents opened on each of the last {len(days)} days, by severity when opened. " + " ".join(days)


def _list_opened(counts: DailyCounts, number: int) -> list[Status]:
    return [one for one in WORST_FIRST if one in counts.opened and counts.opened[one][number]]


def format_day(day: date) -> str:
    """A day without its year: "Nov 27"."""
    return f"{day:%b} {day.day}"
