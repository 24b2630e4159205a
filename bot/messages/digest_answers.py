"""The answers to people who manage digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.incidents.markup import encode_entities, escape
from bot.messages.blocks import (
    Block,
    Element,
    Message,
    actions,
    button,
    confirm,
    context,
    format_date,
    message,
    section,
    text_message,
)
from bot.messages.digest import Summary, render_reason
from storage.digest_rows import DigestRow, History

# Each takes two blocks, and a message has at most 50.
MOST_LISTED = 20
AUDIENCE_NAMED = 5  # projects
BECAME_OWNER = "You own it now, so it shows what you can see."


@dataclass(frozen=True, slots=True)
class Notes:
    """What the author of a digest should know."""

    following: Sequence[datetime]  # the next times
    audience: str | None = None  # who can read it without seeing its incidents otherwise (mrkdwn)
    warning: str | None = None  # mrkdwn


@dataclass(frozen=True, slots=True)
class ListedDigest:
    """A digest of `digest list`, and what the caller may do with it."""

    row: DigestRow
    summary: Summary
    history: History
    may_stop: bool  # pause and remove
    may_change: bool  # everything


def render_description(row: DigestRow, summary: Summary) -> str:
    """When and where a digest is sent, and what it covers (mrkdwn)."""
    return f"{capitalize(summary.when)} in <#{row.channel_id}>{summary.what}"


def render_saved(sentence: str, row: DigestRow, summary: Summary, notes: Notes, *, may_change: bool = True) -> Message:
    """Confirms what was done with a digest: `sentence`, the digest, its next times, and its buttons."""
    text = f"{sentence}\n{render_description(row, summary)}"
    return message(text, [section(text), *render_notes(notes), actions(build_buttons(row, may_change=may_change))])


def render_audience(channel: str, private: bool, projects: Sequence[str]) -> str:
    """Warns that members of a channel will read incidents that they may not see otherwise (mrkdwn)."""
    named = escape(", ".join(projects[:AUDIENCE_NAMED]))
    more = len(projects) - AUDIENCE_NAMED
    named += f" and {more:,} more" if more > 0 else ""
    who = "All members" if private else "Everyone in the workspace"
    where = f"of #{escape(channel)} can read this" if private else f"can read this in #{escape(channel)}"
    return f"{who} {where}, not only the teams of {named}."


def render_notes(notes: Notes) -> list[Block]:
    """The notes as blocks."""
    blocks = []
    if notes.following:
        blocks.append(context("Next: " + " · ".join(format_date(moment) for moment in notes.following)))
    if notes.warning:
        blocks.append(section(f":warning: {notes.warning}"))
    if notes.audience:
        blocks.append(context(f":loudspeaker: {notes.audience}"))
    return blocks


def render_list(
    digests: Sequence[ListedDigest], channel_id: str | None, command: str, *, own: Sequence[Block] = ()
) -> Message:
    """The digests of a channel and of the caller. `own` shows the one that the caller alone gets."""
    if not digests and own:
        return message("Digests: your own", list(own))
    if not digests:
        digest = f"{encode_entities(command)} digest"
        text = (
            "No digests in this channel, and you own none in others."
            f' Make one with `{digest}`, or with `{digest} add "weekdays at 9"`.'
        )
        return message(text, [section(text)])
    blocks: list[Block] = [*own]
    blocks += render_entries(digests[:MOST_LISTED], channel_id)
    if len(digests) > MOST_LISTED:
        blocks.append(context(f"Only the first {MOST_LISTED} are shown."))
    text = "Digests: " + "; ".join(f"{one.row.id}, {one.summary.schedule}" for one in digests[:MOST_LISTED])
    return message(escape(text), blocks)


def render_entries(digests: Sequence[ListedDigest], channel_id: str | None, *, confirmed: bool = False) -> list[Block]:
    """Digests with their buttons, as `channel_id` shows them. `confirmed`: each change asks once more."""
    blocks: list[Block] = []
    for one in digests:
        blocks.append(section(_render_listed(one, channel_id)))
        if one.may_stop:
            blocks.append(actions(build_buttons(one.row, may_change=one.may_change, confirmed=confirmed)))
    return blocks


def _render_listed(one: ListedDigest, channel_id: str | None) -> str:
    row, history = one.row, one.history
    where = "" if row.channel_id == channel_id else f" in <#{row.channel_id}>"
    facts = [_render_next(row), _render_last_sent(history), f"owned by {escape(row.owner)}"]
    if row.name:
        facts.append(f"`{encode_entities(row.name)}` in the organization file")
    lines = [f"*Digest {row.id}* · {capitalize(one.summary.when)}{where}{one.summary.what}", " · ".join(facts)]
    if row.pause_reason:
        lines.append(f":warning: Tocsin paused it. {encode_entities(row.pause_reason)}")
    if history.last_missed:
        reason = render_reason(history.missed_reason)
        lines.append(f":warning: Last missed {format_date(history.last_missed)}: {reason}")
    return "\n".join(lines)


def _render_next(row: DigestRow) -> str:
    return f"Next {format_date(row.next_fire_at)}" if row.next_fire_at else "Paused"


def _render_last_sent(history: History) -> str:
    if history.latest_state in ("due", "posted"):
        return "being sent now"
    sent = f"last sent {format_date(history.last_sent)}" if history.last_sent else "not sent yet"
    return f"{sent} (nothing was open the last time)" if history.latest_state == "silent" else sent


def build_buttons(row: DigestRow, *, may_change: bool, confirmed: bool = False) -> list[Element]:
    """The buttons of a digest. Who may not change it may still look at it and stop it."""
    value = str(row.id)
    pause = confirm("Pause this digest?", "It is not sent until somebody resumes it.", "Pause") if confirmed else None
    resumed = "It is sent on its schedule again. If its owner may no longer show it, you become its owner."
    resume = confirm("Resume this digest?", resumed, "Resume")
    remove = confirm("Remove this digest?", "It will not be sent again. This cannot be undone.", "Remove")
    buttons = [button("Preview", "digest_preview", value)]
    if not row.date_paused:
        buttons.append(button("Pause", "digest_pause", value, confirm=pause))
    elif may_change:
        buttons.append(button("Resume", "digest_resume", value, confirm=resume if confirmed else None))
    if may_change:
        buttons.append(button("Edit", "digest_edit", value))
    return [*buttons, button("Remove", "digest_remove", value, style="danger", confirm=remove)]


def render_paused_notice(row: DigestRow, summary: Summary, command: str, *, may_change: bool) -> Message:
    """The direct message to the owner, or to a manager, when Tocsin has paused a digest."""
    advice = (
        f"`{encode_entities(command)} digest resume {row.id}` sends it again, with you as its owner."
        if may_change
        else "An admin, manager or owner of the organization can resume it."
    )
    reason = encode_entities(row.pause_reason or "")
    text = f"Tocsin paused digest {row.id}. {reason}\n{render_description(row, summary)}\n{advice}"
    return message(text, [section(text), actions(build_buttons(row, may_change=may_change))])


def render_taken_over(before: DigestRow, summary: Summary, by: str) -> Message:
    """The direct message to somebody who owned a digest, after another one has changed what it shows, or resumed it.

    `before` is the digest as it was: they may not see the channel or the projects that it names now.
    """
    name, was = escape(by), render_description(before, summary)
    return text_message(f"{name} owns your digest {before.id} now. It shows what {name} can see.\nYours was: {was}")


def capitalize(sentence: str) -> str:
    """The sentence with a capital letter at its beginning."""
    return sentence[:1].upper() + sentence[1:]
