"""The digest of one member, and the answers about it."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.markup import encode_entities
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
    header,
    message,
    section,
    truncate,
)
from bot.messages.handoff import TITLE_LENGTH, render_incident
from bot.messages.incident import STATUS_SIGNS, build_view_button, render_title
from bot.messages.incident_parts import render_last_comment
from storage.member_rows import ChangedIncident, PersonalDigest, PersonalDigestContent, PersonalMention
from storage.rows import Mentions
from storage.values import Status

SHOWN = 8  # incidents, mentions and changes: three times so many take half of a message's blocks


def render_personal_digest(content: PersonalDigestContent) -> Message:
    """What is a member's own, what mentions them, and what changed since the last digest."""
    owned = content.owned_count
    heading = f"{owned:,} open incident{'' if owned == 1 else 's'} of yours" if owned else "No open incidents of yours"
    since = format_date(content.since)
    blocks: list[Block] = [header(heading)]
    for one in content.owned:
        view = build_view_button(one.identifier)
        blocks.append(section(render_incident(one, content.mentions), accessory=view))
    blocks += _render_more(owned - len(content.owned), "`list owner:me` shows all.")
    if content.mentions_of_reader:
        blocks.append(section(f"*Mentions of you since {since}*"))
        for mention in content.mentions_of_reader:
            view = build_view_button(mention.identifier)
            blocks.append(section(_render_mention(mention, content.mentions), accessory=view))
    if content.changed:
        blocks.append(section(f"*What changed since {since}, in incidents that you own or follow*"))
        for change in content.changed:
            view = build_view_button(change.identifier)
            blocks.append(section(_render_change(change), accessory=view))
        blocks += _render_more(content.changed_count - len(content.changed), "`list all following:yes` shows all.")
    if not content.mentions_of_reader and not content.changed:
        blocks.append(context(f"Nothing changed since {since} in incidents that you own or follow."))
    text = f"{heading}; {content.changed_count:,} changed since the last digest"
    return message(text, blocks)


def _render_more(count: int, advice: str) -> list[Block]:
    return [context(f"and {count:,} more. {advice}")] if count > 0 else []


def _render_name(identifier: int, title: str, status: int) -> str:
    name = truncate(render_title(identifier, title), TITLE_LENGTH)
    return f"{STATUS_SIGNS[Status(status)]} {bold(name)}"


def _render_mention(mention: PersonalMention, mentions: Mentions) -> str:
    name = _render_name(mention.identifier, mention.title, mention.status)
    return f"{name}\n{render_last_comment(mention.entry, mentions)}"


def _render_change(change: ChangedIncident) -> str:
    facts = []
    if change.changes:
        facts.append(f"{change.changes:,} change{'' if change.changes == 1 else 's'} of status")
    if change.owners:
        facts.append(f"{change.owners:,} change{'' if change.owners == 1 else 's'} of owner")
    if change.comments:
        facts.append(f"{change.comments:,} comment{'' if change.comments == 1 else 's'}")
    return f"{_render_name(change.identifier, change.title, change.status)}\n{' · '.join(facts)}"


def render_description(digest: PersonalDigest, when: str) -> str:
    """When a member's own digest comes (mrkdwn). `when` is its schedule in words."""
    following = f"next {format_date(digest.next_fire_at)}" if digest.next_fire_at else "paused"
    return (
        f"*Your own digest* · {encode_entities(when)} ({encode_entities(digest.zone)}), by direct message · {following}"
    )


def build_buttons(digest: PersonalDigest) -> Sequence[Element]:
    """The buttons of a member's own digest."""
    remove = confirm("Remove your digest?", "It will not be sent again. This cannot be undone.", "Remove")
    if digest.date_paused:
        first = button("Resume", "digest_me_resume", "me")
    else:
        first = button("Pause", "digest_me_pause", "me")
    return [first, button("Remove", "digest_me_remove", "me", style="danger", confirm=remove)]


def render_saved(sentence: str, digest: PersonalDigest, when: str) -> Message:
    """Confirms what was done with a member's own digest."""
    text = f"{sentence}\n{render_description(digest, when)}"
    return message(text, [section(text), actions(build_buttons(digest))])


def render_listed(digest: PersonalDigest, when: str) -> list[Block]:
    """A member's own digest in the list of digests."""
    return [section(render_description(digest, when)), actions(build_buttons(digest))]
