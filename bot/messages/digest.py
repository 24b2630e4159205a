"""Digests as a channel sees them, and the answers to whoever manages them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bot.incidents.errors import InvalidInput
from bot.incidents.markup import encode_entities, escape
from bot.incidents.severities import WORST_FIRST
from bot.messages.blocks import (
    Block,
    Element,
    Message,
    actions,
    bold,
    button,
    confirm,
    context,
    format_date,
    format_duration,
    header,
    message,
    section,
    truncate,
)
from bot.messages.incident import STATUS_NAMES, STATUS_SIGNS, render_entry, render_title
from storage.digest_rows import DigestContent, DigestRow, LastFire, News, OpenLine, OpenSeries
from storage.digest_rows import IncidentName as NamedIncident
from storage.rows import Mentions

LATEST_ENTRY_LENGTH = 200  # characters
TITLE_LENGTH = 120  # characters of a title where only the titles of incidents are listed
# Each takes two blocks, and a message has at most 50.
MOST_LISTED = 20
NO_TEAM_NAME = "No team"
AUDIENCE_NAMED = 5  # projects


@dataclass(frozen=True, slots=True)
class Summary:
    """A digest's schedule and filters in words."""

    schedule: str  # "weekdays at 09:00"
    zone: str
    filters: str  # "" for none

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
    """A page of a digest. A preview has no picture. Without `fire_id` the other pages are previews too."""
    if not content.counts.total:
        return _render_all_clear(content, summary)
    heading = _render_heading(content)
    blocks: list[Block] = [header(heading), section(_render_counts(content) + summary.what)]
    if picture and content.number == 0:
        blocks.append(_render_picture(picture))
    mentions = _without_slack_ids(content.page.mentions)
    team: str | None = ""
    for line in content.page.lines:
        if line.team != team:
            team = line.team
            count = content.counts.by_team.get(team, 0)
            blocks.append(context(f"{bold(escape(team or NO_TEAM_NAME))} · {count:,} open"))
        blocks.append(_render_line(line, mentions, content.as_of))
    if content.number == 0:
        blocks.append(section(_render_news(content.news)))
    blocks.append(context(_render_footer(content, summary)))
    turning = _build_page_buttons(content, fire_id)
    if turning:
        blocks.append(actions(turning))
    text = f"{heading}: {_render_plain_counts(content)}" + (" (preview)" if preview else "")
    return message(text, blocks)


def _render_all_clear(content: DigestContent, summary: Summary) -> Message:
    text = f":white_check_mark: Nothing is open{summary.what}.{_render_next(content, lead=' Next digest ')}"
    return message(text, [section(text)])


def _render_heading(content: DigestContent) -> str:
    total = content.counts.total
    return f"{total:,} open incident{'s' if total != 1 else ''}"


def _render_counts(content: DigestContent) -> str:
    by_status = content.counts.by_status
    worst = [
        f"{STATUS_SIGNS[status]} {by_status[status]:,} {STATUS_NAMES[status].lower()}"
        for status in WORST_FIRST
        if by_status.get(status)
    ]
    return " · ".join(worst) + f"\n{_render_unseen(content)}"


def _render_unseen(content: DigestContent) -> str:
    counts = content.counts
    said = f":eyes: {counts.unseen:,} not acknowledged" if counts.unseen else ":eyes: all acknowledged"
    oldest = f" · the oldest has been open for {format_duration(counts.oldest, content.as_of)}" if counts.oldest else ""
    return said + oldest


def _render_plain_counts(content: DigestContent) -> str:
    by_status = content.counts.by_status
    said = [f"{by_status[s]:,} {STATUS_NAMES[s].lower()}" for s in WORST_FIRST if by_status.get(s)]
    return ", ".join(said) + f"; {content.counts.unseen:,} not acknowledged"


def _render_line(line: OpenLine, mentions: Mentions, now: datetime) -> Block:
    name = bold(render_title(line.identifier, line.title))
    facts = [STATUS_NAMES[line.status], f"for {format_duration(line.date_started, now)}"]
    if line.environment:
        facts.append(escape(line.environment))
    facts.append(_render_seen(line))
    text = f"{STATUS_SIGNS[line.status]} {name}\n" + " · ".join(facts)
    if line.latest:
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


def _render_seen(line: OpenLine) -> str:
    if not line.seen_count:
        return ":eyes: not acknowledged"
    more = line.seen_count - len(line.seen_by)
    return ":eyes: " + escape(", ".join(line.seen_by)) + (f" and {more:,} more" if more else "")


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
    parts = [f"As of {format_date(content.as_of)}", summary.when]
    if content.pages > 1:
        parts.insert(0, f"Page {content.number + 1:,} of {content.pages:,}")
    following = _render_next(content, lead="next ")
    return " · ".join([*parts, *([following] if following else [])])


def _render_next(content: DigestContent, *, lead: str) -> str:
    return f"{lead}{format_date(content.next_fire_at)}" if content.next_fire_at else ""


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
        raise InvalidInput("That button is from a message that I no longer understand.") from None


def render_alt_text(series: OpenSeries) -> str:
    """The alternative text of the picture (plain text)."""
    totals = [sum(counts) for counts in zip(*series.counts.values(), strict=True)]
    now = ", ".join(f"{series.counts[status][-1]:,} {STATUS_NAMES[status].lower()}" for status in WORST_FIRST)
    return (
        f"Open incidents over the last {len(totals)} days, by severity. {totals[0]:,} at the beginning,"
        f" {max(totals):,} at the most, {totals[-1]:,} now ({now})."
    )


# --- making and keeping them -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notes:
    """What the author of a digest should know. All texts are mrkdwn."""

    following: Sequence[str]  # the next times, in the digest's zone
    audience: str | None = None  # who can read it without seeing its incidents otherwise
    warning: str | None = None


def format_time(moment: datetime, zone: str) -> str:
    """A time in a zone: `Mon 30 Nov 2026, 09:00 CET`."""
    return f"{moment.astimezone(ZoneInfo(zone)):%a %d %b %Y, %H:%M %Z}"


def render_saved(sentence: str, row: DigestRow, summary: Summary, notes: Notes) -> Message:
    """Confirms a new or changed digest: its schedule in words, and the next times."""
    text = f"{sentence} *{row.id}*: {summary.when} in <#{row.channel_id}>{summary.what}"
    blocks = [section(text), *_render_notes(notes), actions(_build_buttons(row))]
    return message(text, blocks)


def render_audience(channel: str, private: bool, projects: Sequence[str]) -> str:
    """Warns that members of a channel will read incidents that they may not see otherwise (mrkdwn)."""
    named = escape(", ".join(projects[:AUDIENCE_NAMED]))
    more = len(projects) - AUDIENCE_NAMED
    named += f" and {more:,} more" if more > 0 else ""
    who = "Its members" if private else "It is public: everybody in the workspace"
    whose = "project" if len(projects) == 1 else "projects"
    return (
        f"Who will read this in #{escape(channel)}? {who} will, also those who may not see the incidents of the"
        f" {whose} {named} here."
    )


def _render_notes(notes: Notes) -> list[Block]:
    blocks = []
    if notes.following:
        blocks.append(context("Next: " + " · ".join(notes.following)))
    if notes.warning:
        blocks.append(section(f":warning: {notes.warning}"))
    if notes.audience:
        blocks.append(context(f":loudspeaker: {notes.audience}"))
    return blocks


def render_list(
    digests: Sequence[tuple[DigestRow, Summary, LastFire | None, bool]], channel_id: str | None, command: str
) -> Message:
    """The digests of a channel and of the caller; the last value of each says whether the caller may change it."""
    if not digests:
        text = (
            "There is no digest here, and you own none elsewhere."
            f' `{escape(command)} digest` makes one, or `{escape(command)} digest add "weekdays at 9"`.'
        )
        return message(text, [section(text)])
    blocks: list[Block] = []
    for row, summary, last, may in digests[:MOST_LISTED]:
        where = "" if row.channel_id == channel_id else f" in <#{row.channel_id}>"
        named = f" ({escape(row.name)}, from the organization file)" if row.name else ""
        state = f"{_render_state(row)} · {_render_last_fire(last)} · owner {escape(row.owner)}"
        text = f"*Digest {row.id}*{named}: {summary.when}{where}{summary.what}\n{state}"
        blocks.append(section(text))
        if may:
            blocks.append(actions(_build_buttons(row)))
    if len(digests) > MOST_LISTED:
        blocks.append(context(f"These are the first {MOST_LISTED}."))
    text = "Digests: " + "; ".join(f"{row.id}, {summary.schedule}" for row, summary, _, _ in digests[:MOST_LISTED])
    return message(escape(text), blocks)


def _render_state(row: DigestRow) -> str:
    if row.next_fire_at:
        return f"next {format_date(row.next_fire_at)}"
    return "paused" + (f": {escape(row.pause_reason)}" if row.pause_reason else "")


_STATE_TEXTS = {
    "due": "being drawn",
    "posted": "on its way",
    "sent": "sent",
    "silent": "nothing was open, and nothing was said",
    "missed": "skipped, because it would have come too late",
}


def _render_last_fire(last: LastFire | None) -> str:
    if last is None:
        return "not told yet"
    said = _STATE_TEXTS.get(last.state) or f"not sent ({escape(last.reason or 'for a reason that I do not know')})"
    return f"last {format_date(last.fire_at)}: {said}"


def _build_buttons(row: DigestRow) -> list[Element]:
    value = str(row.id)
    running = button("Resume", "digest_resume", value) if row.date_paused else button("Pause", "digest_pause", value)
    return [
        button("Preview", "digest_preview", value),
        running,
        button("Edit", "digest_edit", value),
        button(
            "Remove",
            "digest_remove",
            value,
            style="danger",
            confirm=confirm("Remove this digest?", "It is told no more. This cannot be undone.", "Remove"),
        ),
    ]


def render_paused_notice(row: DigestRow, summary: Summary, command: str) -> Message:
    """The direct message to the owner, or to a manager, when the bot has paused a digest."""
    text = (
        f"Digest *{row.id}* ({summary.when} in <#{row.channel_id}>) is paused: {escape(row.pause_reason or '')}"
        f" `{escape(command)} digest resume {row.id}` starts it again, as yours."
    )
    return message(text, [section(text), actions(_build_buttons(row))])
