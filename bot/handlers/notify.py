"""`notify`: what the caller gets direct messages about."""

from __future__ import annotations

from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import subscriptions
from bot.incidents.errors import InvalidInput
from bot.incidents.words import find_closest, shorten, split_first_word
from bot.messages.blocks import text_message
from bot.messages.help import Group
from bot.slack.requests import Command
from bot.slack.responses import Answer, Response

USAGE = "notify all|mentions|none"
_MEANS = {
    "all": "I tell you of each comment and change on the incidents that you follow, and of every mention of you.",
    "mentions": "I tell you when somebody mentions you, and of nothing else.",
    "none": "I tell you of nothing, not even of mentions.",
}


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`notify all|mentions|none`; without a word it says which it is."""
    wanted, _ = split_first_word(words)
    if not wanted:
        present = subscriptions.get_notify(context.connection, context.access)
        return Answer(
            text_message(f"`{present}`: {_MEANS[present]} `{context.services.command} {USAGE}` changes that.")
        )
    if wanted not in _MEANS:
        meant = find_closest(wanted, _MEANS)
        raise InvalidInput(
            f"“{shorten(wanted)}” is none of all, mentions and none." + (f" Did you mean “{meant}”?" if meant else ""),
            USAGE,
        )
    with context.write() as tx:
        subscriptions.set_notify(tx, context.access, wanted)
    return Answer(text_message(f"From now on: {_MEANS[wanted]}"))


HANDLES = (
    Verb(
        name="notify",
        usage=USAGE,
        summary="What I tell you of: everything on incidents that you follow, mentions only, or nothing.",
        examples=("notify mentions",),
        group=Group.FOLLOW,
        command=handle_command,
    ),
)
