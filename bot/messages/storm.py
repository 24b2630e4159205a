"""The message of a storm: one for many new incidents in a channel."""

from __future__ import annotations

from bot.incidents.common_parts import Common, CommonLabel, find_shared_labels
from bot.incidents.markup import escape
from bot.incidents.storms import Split, Taken
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
    message,
    section,
    text_message,
    truncate,
)
from bot.messages.card import CardMessage
from bot.messages.incident import STATUS_SIGNS, render_title
from storage.rows import IncidentName, StormContent
from storage.values import Status

TITLE_LENGTH = 150  # characters of an incident's title among others
NAME_LENGTH = 80
LABEL_LENGTH = 60
SHORT_S = 12 * 3600  # a storm that lasts longer needs the day of its end


def render_storm(storm: StormContent, common: Common) -> CardMessage:
    """A storm that goes on, or what it was."""
    shared = render_common(common)
    blocks: list[Block] = [section(_render_total(storm))]
    if storm.criticals:
        blocks.append(section(_render_criticals(storm)))
    lines = [f"*In common:* {shared}" if shared else "", _render_counts(storm)]
    blocks.append(section("\n".join(line for line in lines if line)))
    blocks.append(context(f"Began with {_render_name(storm.first)} · `list storm:{storm.storm_id}`"))
    blocks.append(context(f":bust_in_silhouette: {_render_owners(storm)}"))
    if hint := _render_hint(storm):
        blocks.append(context(hint))
    blocks.append(actions(_build_buttons(storm)))
    return {"text": _render_text(storm, common), "blocks": blocks, "attachments": []}


def render_retired_storm() -> CardMessage:
    """What replaces the message of a storm in a channel that may show none of its incidents any more."""
    sentence = "The incidents of this alert storm are no longer shown in this channel."
    return {"text": sentence, "blocks": [context(sentence)], "attachments": []}


def render_common(common: Common) -> str:
    """What alerts have in common (mrkdwn); empty for nothing."""
    parts = [escape(truncate(common.title, TITLE_LENGTH))] if common.title else []
    return " · ".join([*parts, *(_render_label(label) for label in common.labels)])


def _render_label(label: CommonLabel) -> str:
    text = f"{escape(truncate(label.name, LABEL_LENGTH))} {escape(truncate(label.value, LABEL_LENGTH))}"
    return text if label.all else f"{text} (most)"


def _render_text(storm: StormContent, common: Common) -> str:
    """The text of notifications."""
    title = f": {escape(truncate(common.title, TITLE_LENGTH))}" if common.title else ""
    if storm.ended:
        return f"The alert storm is over: {_count(storm.total, 'incident')}{title}"
    return f"Alert storm: {_count(storm.total, 'new incident')}{title}"


def _render_total(storm: StormContent) -> str:
    if not storm.ended:
        total = bold(f"Alert storm: {_count(storm.total, 'new incident')}")
        return f":rotating_light: {total} since {format_date(storm.started)}"
    total = bold(f"The alert storm is over: {_count(storm.total, 'incident')}")
    sign = STATUS_SIGNS[Status.CLOSED] if storm.resolved == storm.total else ":checkered_flag:"
    lasted_s = (storm.last - storm.started).total_seconds()
    if lasted_s < 60:
        return f"{sign} {total} within a minute, {format_date(storm.started)}"
    end = format_date(storm.last, "{time}" if lasted_s < SHORT_S else "{date_short_pretty} at {time}")
    period = f"from {format_date(storm.started)} to {end}"
    return f"{sign} {total} in {format_duration(storm.started, storm.last)}, {period}"


def _render_counts(storm: StormContent) -> str:
    counts = [
        (storm.critical, f"{STATUS_SIGNS[Status.CRITICAL]} {storm.critical:,} critical"),
        (storm.warning, f"{STATUS_SIGNS[Status.WARNING]} {storm.warning:,} warning"),
        (storm.without_severity, f"{STATUS_SIGNS[Status.OPEN]} {storm.without_severity:,} without severity"),
    ]
    if storm.resolved == storm.total:
        resolved = "all resolved"
    else:
        silenced = f"{storm.silenced:,} silenced, " if storm.silenced else ""
        resolved = f"{storm.resolved:,} resolved, {silenced}{_count_open(storm):,} open"
    return f"{' · '.join(text for count, text in counts if count)} – {resolved}"


def _count_open(storm: StormContent) -> int:
    return storm.total - storm.resolved - storm.silenced


def _render_criticals(storm: StormContent) -> str:
    """Critical incidents without a card of their own, by name."""
    names = [f"{STATUS_SIGNS[Status.CRITICAL]} {_render_name(one)}" for one in storm.criticals]
    if more := storm.folded_criticals - len(names):
        names.append(f"and {more:,} more critical")
    return "*More critical incidents*\n" + "\n".join(names)


def _render_owners(storm: StormContent) -> str:
    if storm.resolved == storm.total:
        return "All incidents are resolved"
    if not _count_open(storm):
        return "All incidents are resolved or silenced"
    if not storm.owners:
        return "Nobody owns any of the open incidents"
    parts = [f"{escape(truncate(name, NAME_LENGTH))} owns {count:,}" for name, count in storm.owners]
    if more := storm.owner_count - len(parts):
        parts.append(f"{more:,} more people own some")
    if storm.unowned:
        parts.append(f"{storm.unowned:,} {'has' if storm.unowned == 1 else 'have'} no owner")
    return ", ".join(parts)


def _render_hint(storm: StormContent) -> str:
    """What becomes of cards."""
    if storm.split:
        by = f" by {escape(truncate(storm.split_by, NAME_LENGTH))}" if storm.split_by else ""
        return f"Split{by}: the incidents get their own cards, the most severe first."
    if storm.ended:
        return ""
    return (
        f"More than {_count(storm.cards, 'new card')} within {_render_seconds(storm.within_s)}:"
        " further incidents are added here instead of getting cards."
    )


def _render_seconds(seconds: int) -> str:
    if seconds % 60:
        return _count(seconds, "second")
    return "a minute" if seconds == 60 else f"{seconds // 60} minutes"


def _render_name(incident: IncidentName) -> str:
    return render_title(incident.identifier, truncate(incident.title, TITLE_LENGTH))


def _build_buttons(storm: StormContent) -> list[Element]:
    value = str(storm.storm_id)
    buttons = [button("List", "storm_list", value)]
    if storm.unowned:
        buttons.append(button("Take all", "storm_take", value))
    if _count_open(storm) and find_shared_labels([alert.own_labels for alert in storm.alerts]):
        buttons.append(button("Silence", "storm_silence", value))
    if storm.folded and not storm.split:
        dialog = confirm("Split into cards?", _render_split_question(storm.folded), "Split")
        buttons.append(button("Split", "storm_split", value, confirm=dialog))
    return buttons


def _render_split_question(cards: int) -> str:
    return (
        f"{_count(cards, 'open incident')} {'gets its card' if cards == 1 else 'get a card each'} in this channel,"
        " the most severe first. Slack takes about one message a second."
    )


def render_taken(taken: Taken, storm_id: int) -> Message:
    """The answer to `Take all`."""
    if taken.taken:
        sentence = f"You own {_count(taken.taken, 'more incident' if taken.mine else 'incident')} of this storm now."
    elif taken.silenced:
        sentence = "You took nothing: the open incidents without an owner are all silenced."
    elif taken.mine and not taken.others:
        sentence = "You already own all open incidents of this storm."
    elif taken.mine or taken.others:
        sentence = "Every open incident of this storm already has an owner."
    else:
        sentence = "No incident of this storm is open."
    if taken.others:
        sentence += f" Others own {taken.others:,}."
    if taken.silenced:
        left_out = f"{_count(taken.silenced, 'silenced incident')} {'was' if taken.silenced == 1 else 'were'} left out"
        sentence += f" {left_out}. `take N` takes a silenced one."
    return message(sentence, [section(sentence), actions([button("List", "storm_list", str(storm_id))])])


def render_taken_so_far(taken: Taken) -> str:
    """The answer to `Take all` where a batch behind the first one failed, in plain text."""
    return (
        f"You own {_count(taken.taken, 'more incident' if taken.mine else 'incident')} of this storm now, but I could"
        " not take the others. Press Take all again to go on."
    )


def render_split_so_far(split: Split) -> str:
    """The answer to `Split` where a batch behind the first one failed, in plain text."""
    if not split.cards:
        return "I could not go through all incidents of this storm. Press Split again to go on."
    cards = (
        f"{_count(split.cards, 'open incident')} {'gets its own card' if split.cards == 1 else 'get their own cards'}"
    )
    return f"{cards}, but I could not give the others theirs. Press Split again to go on."


def render_split(split: Split) -> Message:
    """The answer to `Split`."""
    if split.split_before:
        by = f" by {escape(truncate(split.by, NAME_LENGTH))}" if split.by else ""
        return text_message(f"This storm was already split{by}.")
    if not split.cards:
        return text_message("All open incidents of this storm already have a card. New ones get one, too.")
    return text_message(
        f"{_count(split.cards, 'open incident')} {'gets its own card' if split.cards == 1 else 'get their own cards'},"
        " the most severe first. New ones get one, too."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
