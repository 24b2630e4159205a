"""Notices to one person: what they did in a channel did not have the effect that they may expect."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.markup import escape
from bot.messages.blocks import Message, text_message


def render_not_a_comment(identifier: int, channel_id: str, reason: str) -> Message:
    """Their reply in a card's thread did not become a comment. `reason` is a sentence of plain text."""
    return text_message(
        f"Your reply to the card of #{identifier} in <#{channel_id}> is left as it is and has not become a comment."
        f" {escape(reason)}"
    )


def render_edit_not_followed(identifier: int, channel_id: str, reason: str) -> Message:
    """Their edit of a reply did not change the comment."""
    return text_message(
        f"You have edited your reply to the card of #{identifier} in <#{channel_id}>; the comment that it became is as"
        f" it was. {escape(reason)}"
    )


def render_files_not_saved(identifier: int, channel_id: str, count: int) -> Message:
    """Slack does not let the bot read files of their reply."""
    file, is_ = ("the file", "it is") if count == 1 else (f"{count} files", "they are")
    return text_message(
        f"Slack does not show me {file} of your reply to the card of #{identifier} in <#{channel_id}>, so {is_} not"
        " part of a comment. The words of the reply are kept; a link in a reply is kept too."
    )


def render_not_mentioned(identifier: int, channel_id: str, names: str) -> Message:
    """Somebody whom their reply mentions cannot see the incident. `names` is plain text."""
    return text_message(
        f"{escape(names)} cannot see #{identifier}, and so has not been told of your reply to its card in"
        f" <#{channel_id}>."
    )


def render_ambiguous_names(identifier: int, channel_id: str, several: Sequence[tuple[str, str]]) -> Message:
    """Their reply has names that fit several people. `several`: each name as typed, and whom it fits (plain text)."""
    names = "; ".join(f"{escape(typed)} could be {escape(candidates)}" for typed, candidates in several)
    return text_message(
        f"Your reply to the card of #{identifier} in <#{channel_id}> has told nobody by that name: {names}."
        " To tell one of them, reply once more and pick them from the list that Slack shows while you type."
    )


def render_reaction_refused(identifier: int, channel_id: str, reaction: str, reason: str) -> Message:
    """Their reaction to a card did nothing."""
    return text_message(
        f"Your reaction :{reaction}: to the card of #{identifier} in <#{channel_id}> changed nothing. {escape(reason)}"
    )
