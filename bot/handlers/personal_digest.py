"""`digest me`: the digest of the caller alone, and its buttons. `digest` calls the functions for its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.digests import personal
from bot.digests.schedule import parse_cron
from bot.digests.schedule_text import describe_schedule
from bot.handlers.context import Context
from bot.handlers.verb import Feature
from bot.incidents.words import split_word
from bot.messages import personal_digest as messages
from bot.messages.blocks import Block, text_message
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response
from storage.member_rows import PersonalDigest

ME = "me"  # in place of a digest's number


def handle_me(context: Context, request: Command, rest: str) -> Response:
    """`digest me "schedule" [tz:zone]`; `digest me` alone shows it."""
    word, behind = split_word(rest)
    if word.lower() in ACTIONS and not behind:
        return ACTIONS[word.lower()](context, request)
    if not rest.strip():
        return _confirm("You have a digest of your own.", personal.get_own(context.connection, context.access))
    with context.write(once=request.key) as tx:
        digest = personal.save(tx, context.access, rest, context.now)
    return _confirm("You get a digest of your own.", digest)


def send_now(context: Context, request: Command | Press) -> Response:
    """`digest now me`."""
    with context.write(once=request.key) as tx:
        personal.send_now(tx, context.access, context.now)
    return Answer(text_message("You get your digest as a direct message now. Its schedule stays the same."))


def pause(context: Context, _request: Command | Press) -> Response:
    """`digest pause me`, and `Pause`."""
    with context.write() as tx:
        digest = personal.pause(tx, context.access, context.now)
    return _confirm("You paused your own digest.", digest)


def resume(context: Context, _request: Command | Press) -> Response:
    """`digest resume me`, and `Resume`."""
    with context.write() as tx:
        digest = personal.resume(tx, context.access, context.now)
    return _confirm("You resumed your own digest.", digest)


def remove(context: Context, _request: Command | Press) -> Response:
    """`digest remove me`, and `Remove`."""
    with context.write() as tx:
        personal.remove(tx, context.access)
    return Answer(text_message("You removed your own digest."))


ACTIONS: Mapping[str, Callable[[Context, Command | Press], Response]] = {
    "now": send_now,
    "pause": pause,
    "resume": resume,
    "remove": remove,
}


def render_own(context: Context) -> list[Block]:
    """The caller's own digest for `digest list`; nothing if they have none."""
    digest = personal.find_own(context.connection, context.access)
    return messages.render_listed(digest, _describe(digest)) if digest else []


def _confirm(sentence: str, digest: PersonalDigest) -> Answer:
    return Answer(messages.render_saved(sentence, digest, _describe(digest)))


def _describe(digest: PersonalDigest) -> str:
    return describe_schedule(parse_cron(digest.cron))


HANDLES = (
    Feature(
        buttons={
            "digest_me_pause": pause,  # Pause
            "digest_me_resume": resume,  # Resume
            "digest_me_remove": remove,  # Remove
        }
    ),
)
