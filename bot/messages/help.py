"""What can be done, with examples: the one table from which `help` and the answers to mistakes are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from bot.incidents import filters
from bot.incidents.markup import escape
from bot.messages.blocks import Message, context, message, section


@dataclass(frozen=True, slots=True)
class Topic:
    """One command."""

    form: str
    does: str
    examples: tuple[str, ...]


TOPICS: dict[str, Topic] = {
    "list": Topic(
        filters.FORM,
        "Incidents that you may see, newest first, ten a page. Words look in titles; quotes keep words together."
        " `since` leaves out what closed before, `until` what started after.",
        ("list", "list critical team:mine", 'list all "card payments" since:7d', "list seen:no"),
    ),
    "view": Topic(
        "view N",
        "One incident with everything about it, and its buttons. A number alone does the same.",
        ("view 12", "12"),
    ),
    "ack": Topic("ack N", "Marks it seen by you. `acknowledge` and `seen` do the same.", ("ack 12",)),
    "resolve": Topic(
        "resolve N [comment]", "Closes it, with a comment if you like.", ("resolve 12 rolled back the deploy",)
    ),
    "reopen": Topic("reopen N [comment]", "Opens it again, with the status that it had.", ("reopen 12 it is back",)),
    "severity": Topic(
        "severity N warning|critical|open [comment]", "Sets how bad it is, by hand.", ("severity 12 critical",)
    ),
    "comment": Topic(
        "comment N text",
        "Adds a comment. Mention a person or a team with @ and they are told.",
        ("comment 12 @ada the replica is lagging",),
    ),
    "activity": Topic(
        "activity N", "The log, newest first. Your own comments have `Edit` and `Delete`.", ("activity 12",)
    ),
    "subscribe": Topic("subscribe N", "Tells you of comments and changes.", ("subscribe 12",)),
    "unsubscribe": Topic("unsubscribe N", "Stops telling you.", ("unsubscribe 12",)),
    "notify": Topic(
        "notify all|mentions|none",
        "What I tell you of: everything on incidents that you follow, mentions only, or nothing.",
        ("notify mentions",),
    ),
    "declare": Topic(
        "declare [warning|critical] [project:x] [team:x] [env:x] title",
        "Opens an incident.",
        ("declare critical project:checkout Payments fail with 502",),
    ),
    "digest": Topic(
        'digest [add "schedule" [tz:zone] [empty:skip] [picture:no] [list filters]|list|now ID|pause ID|resume ID'
        "|edit ID|remove ID]",
        "Tells this channel what is open, when it is time. Alone it opens a form. A schedule is said in words or"
        " written as cron, and keeps to the clock of its zone: yours, unless `tz:` names another.",
        (
            'digest add "weekdays at 9"',
            'digest add "0 9 * * 1-5" tz:Europe/Berlin critical team:payments',
            "digest list",
            "digest now 3",
        ),
    ),
    "whoami": Topic("whoami", "Who I take you for, and what you may see.", ("whoami",)),
}


def overview(command: str) -> Message:
    """Everything that can be done."""
    blocks = [
        section(f"*What I can do.* `{escape(command)} help list` tells more of `list`, and so on."),
        section(
            "\n".join(f"`{escape(f'{command} {topic.form}')}`\n{topic.does}" for topic in list(TOPICS.values())[:1])
        ),
        section(
            "\n".join(f"`{escape(f'{command} {topic.form}')}` – {topic.does}" for topic in list(TOPICS.values())[1:])
        ),
        section(
            "For example:\n"
            + "\n".join(f"• `{escape(f'{command} {topic.examples[0]}')}`" for topic in list(TOPICS.values()))
        ),
        context("Only you see my answers. Incidents that you may not see do not exist for you here."),
    ]
    return message("What I can do", blocks)


def of_command(name: str, command: str) -> Message:
    """One command, with examples. `name` is a key of TOPICS."""
    topic = TOPICS[name]
    examples = "\n".join(f"• `{escape(f'{command} {example}')}`" for example in topic.examples)
    blocks = [
        section(f"`{escape(f'{command} {topic.form}')}`"),
        section(topic.does),
        section(f"For example:\n{examples}"),
    ]
    return message(f"How to use {name}", blocks)
