"""Notices to one person: what they did in a channel did not have the effect that they may expect.

A notice to somebody who may not see the incident does not have its title.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.markup import encode_entities, escape
from bot.messages.blocks import Message, text_message
from bot.messages.incident import render_title


def render_not_a_comment(identifier: int, channel_id: str, reason: str) -> Message:
    """Their reply in a card's thread did not become a comment. `reason` is a sentence of plain text."""
    return text_message(
        f"Your reply to #{identifier} in <#{channel_id}> did not become a comment. {encode_entities(reason)}"
    )


def render_edit_not_followed(identifier: int, channel_id: str, reason: str) -> Message:
    """Their edit of a reply did not change the comment."""
    return text_message(
        f"You edited your reply to #{identifier} in <#{channel_id}>, but its comment did not change."
        f" {encode_entities(reason)}"
    )


def render_files_not_saved(identifier: int, title: str, channel_id: str, count: int) -> Message:
    """Slack does not let the bot read files of their reply."""
    name = render_title(identifier, title)
    if count == 1:
        return text_message(
            f"Slack does not show me the file in your reply to {name} in <#{channel_id}>, so it is not in the comment."
            " Reply with a link to it instead."
        )
    return text_message(
        f"Slack does not show me {count} files in your reply to {name} in <#{channel_id}>, so they are not in the"
        " comment. Reply with links to them instead."
    )


def render_not_mentioned(identifier: int, title: str, channel_id: str, names: str) -> Message:
    """Somebody whom their reply mentions cannot see the incident. `names` is plain text."""
    return text_message(
        f"{escape(names)} cannot see {render_title(identifier, title)}, so your reply in <#{channel_id}> did not notify"
        " them."
    )


def render_ambiguous_names(identifier: int, title: str, channel_id: str, several: Sequence[tuple[str, str]]) -> Message:
    """Their reply has names that fit several people. `several`: each name as typed, and whom it fits (plain text)."""
    names = "; ".join(f"{escape(typed)} could be {escape(candidates)}" for typed, candidates in several)
    return text_message(
        f"Your reply to {render_title(identifier, title)} in <#{channel_id}> did not notify everybody that you named:"
        f" {names}. Reply again and pick the name from the list that Slack shows while you type."
    )


def render_reaction_refused(identifier: int, channel_id: str, reaction: str, reason: str) -> Message:
    """Their reaction to a card did nothing."""
    return text_message(
        f"Your reaction :{reaction}: to #{identifier} in <#{channel_id}> changed nothing. {encode_entities(reason)}"
    )
