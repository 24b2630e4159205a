"""`help`: the commands with examples, from the values with which they are declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from bot.incidents.markup import encode_entities
from bot.messages.blocks import Message, actions, button, context, message, section


class Group(IntEnum):
    """What a command is for, in the order of `help`."""

    FIND = 1  # finding incidents
    READ = 2  # looking at one
    WORK = 3  # changing one
    FOLLOW = 4  # notifications
    OPEN = 5  # declaring one
    DIGEST = 6
    CALLER = 7  # who the bot takes the caller for
    MEMBERS = 8  # who belongs to the organization


@dataclass(frozen=True, kw_only=True)
class Topic:
    """The help of a command."""

    name: str
    usage: str  # the correct usage, as people read it: "ack N"
    summary: str  # in a sentence or two, mrkdwn
    examples: Sequence[str]  # at least one
    group: Group
    brief: str | None = None  # what the first example does, in `help`; None: only among all commands
    form: str | None = None  # the usage that a mistake shows, where the whole is too long
    aliases: Sequence[str] = ()  # other words for it
    synonyms: Sequence[str] = ()  # what other tools and tired people call it: answered with `name`, not carried out
    values: Sequence[str] = ()  # what must follow the number, where that is one of a few words
    phrases: Sequence[str] = ()  # whole messages without punctuation that are carried out like the command alone
    rewordings: Mapping[str, str] = field(default_factory=dict)  # one or two words for one of its forms: "end silence"

    @property
    def takes_number(self) -> bool:
        """Whether the number of an incident follows the name."""
        return (self.form or self.usage).split()[1:2] == ["N"]


def render_overview(topics: Sequence[Topic], command: str) -> Message:
    """The answer to `help`: what is needed first, in at most ten lines."""
    lines = [
        f"`{encode_entities(f'{command} {topic.examples[0]}')}` – {topic.brief}" for topic in topics if topic.brief
    ]
    # Slack would hide the last lines of a long section behind "See more".
    blocks = [
        section("*What I can do*\n" + "\n".join(lines)) | {"expand": True},
        actions([button("All commands", "help_all", "1")]),
        context("These also work in a direct message to me and after mentioning me. Only you see my answers."),
    ]
    return message("What I can do", blocks)


def render_all_commands(topics: Sequence[Topic], command: str) -> Message:
    """All commands, each with its usage and an example."""
    parts = []
    for topic in topics:
        example = encode_entities(f"{command} {topic.examples[-1]}")
        parts.append(f"`{encode_entities(f'{command} {topic.usage}')}`\n{topic.summary}\nExample: `{example}`")
    return message("All commands", [section(part) | {"expand": True} for part in parts])


def render_topic(topic: Topic, command: str) -> Message:
    """The help on one command."""
    examples = "\n".join(f"• `{encode_entities(f'{command} {example}')}`" for example in topic.examples)
    blocks = [
        section(f"`{encode_entities(f'{command} {topic.usage}')}`"),
        section(topic.summary),
        section(f"Examples:\n{examples}"),
    ]
    return message(f"How to use {topic.name}", blocks)
