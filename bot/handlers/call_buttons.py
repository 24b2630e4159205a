"""The buttons of the direct message with which somebody is called: `I have it`, `Not me`, `Take all`."""

from __future__ import annotations

from bot.handlers import take
from bot.handlers.context import Context
from bot.handlers.verb import Feature
from bot.incidents import calls
from bot.incidents.errors import InvalidInput
from bot.messages import calls as messages
from bot.slack.requests import Press
from bot.slack.responses import Answer, Response


def handle_take_press(context: Context, request: Press) -> Response:
    """`I have it`: the same as `Take it`."""
    return take.handle_press(context, request)


def handle_decline_press(context: Context, request: Press) -> Response:
    """`Not me`."""
    post_id = _parse_post(request.value)
    with context.write() as tx:
        declined = calls.decline(tx, context.access, post_id, context.now)
    return Answer(messages.render_declined(declined))


def handle_take_all_press(context: Context, request: Press) -> Response:
    """`Take all`: takes what nobody owns, and says what others have."""
    post_id = _parse_post(request.value)
    with context.write() as tx:
        taken = calls.take_all(tx, context.access, post_id, context.now)
    return Answer(messages.render_taken(taken.taken, taken.others, taken.over, taken.left, taken.silenced))


def _parse_post(value: str) -> int:
    """Parses the value of a button into the id of its message. Raises InvalidInput."""
    if not (value.isascii() and value.isdigit()):
        raise InvalidInput("This button is from an older version. Nothing was changed.")
    return min(int(value[:20]), 2**63 - 1)


HANDLES = (
    Feature(
        buttons={
            "call_take": handle_take_press,  # I have it
            "call_decline": handle_decline_press,  # Not me
            "call_take_all": handle_take_all_press,  # Take all
        }
    ),
)
