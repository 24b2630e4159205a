"""`help`: all commands with examples, from the values with which they are declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from bot.incidents.markup import escape
from bot.messages.blocks import Message, context, message, section


class Group(IntEnum):
    """What a command is for, in the order of `help`."""

    FIND = 1  # finding incidents: the first, with the longest usage, stands apart
    READ = 2  # looking at one
    WORK = 3  # changing one
    FOLLOW = 4  # notifications
    OPEN = 5  # declaring one
    DIGEST = 6
    CALLER = 7  # who the bot takes the caller for


@dataclass(frozen=True, kw_only=True)
class Topic:
    """The help of a command."""

    name: str
    usage: str  # the correct usage, as people read it: "ack N"
    summary: str  # in a sentence or two, mrkdwn
    examples: Sequence[str]  # at least one
    group: Group
    aliases: Sequence[str] = ()  # other words for it
    synonyms: Sequence[str] = ()  # what other tools and tired people call it: answered with `name`, not carried out


def render_overview(topics: Sequence[Topic], command: str) -> Message:
    """The help on all commands."""
    blocks = [
        section(f"*What I can do.* `{escape(command)} help list` tells more of `list`, and so on."),
        section("\n".join(f"`{escape(f'{command} {topic.usage}')}`\n{topic.summary}" for topic in topics[:1])),
        section("\n".join(f"`{escape(f'{command} {topic.usage}')}` – {topic.summary}" for topic in topics[1:])),
        section("For example:\n" + "\n".join(f"• `{escape(f'{command} {topic.examples[0]}')}`" for topic in topics)),
        context("Only you see my answers. Incidents that you may not see do not exist for you here."),
    ]
    return message("What I can do", blocks)


def render_topic(topic: Topic, command: str) -> Message:
    """The help on one command."""
    examples = "\n".join(f"• `{escape(f'{command} {example}')}`" for example in topic.examples)
    blocks = [
        section(f"`{escape(f'{command} {topic.usage}')}`"),
        section(topic.summary),
        section(f"For example:\n{examples}"),
    ]
    return message(f"How to use {topic.name}", blocks)
