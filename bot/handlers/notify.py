"""`notify`: what the caller gets direct messages about."""

from __future__ import annotations

from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import subscriptions
from bot.incidents.errors import InvalidInput
from bot.incidents.words import find_closest, shorten, split_word, unquote
from bot.messages.blocks import text_message
from bot.messages.help import Group
from bot.slack.requests import Command
from bot.slack.responses import Answer, Response

USAGE = "notify all|mentions|none"
_MEANS = {
    "all": "You get direct messages about incidents that you follow, and when somebody mentions you.",
    "mentions": "You get a direct message only when somebody mentions you.",
    "none": "You get no direct messages about incidents.",
}


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`notify all|mentions|none`; without a word it says which it is."""
    typed = unquote(split_word(words)[0])
    setting = typed.lower()
    if not setting:
        present = subscriptions.get_notify(context.connection, context.access)
        return Answer(
            text_message(
                f"{_MEANS[present]} Your setting is `{present}`. Change it with `{context.services.command} {USAGE}`."
            )
        )
    if setting not in _MEANS:
        sentence = f"“{shorten(typed)}” is not a setting. Use `all`, `mentions` or `none`."
        raise InvalidInput(sentence, USAGE, wrong=typed, meant=find_closest(setting, _MEANS))
    with context.write() as tx:
        subscriptions.set_notify(tx, context.access, setting)
    return Answer(text_message(f"Saved. {_MEANS[setting]}"))


HANDLES = (
    Verb(
        name="notify",
        usage=USAGE,
        summary="Chooses your direct messages: about everything that you follow, about mentions, or none.",
        examples=("notify mentions",),
        group=Group.FOLLOW,
        command=handle_command,
    ),
)
