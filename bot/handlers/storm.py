"""The buttons of a storm's message, and of the summary of many direct messages."""

from __future__ import annotations

from bot.handlers import list as list_handler
from bot.handlers.context import Context
from bot.handlers.redraw import origin_of_press
from bot.handlers.verb import Feature
from bot.incidents import filters, silences, storm_actions
from bot.incidents.errors import PartlyDone, Refusal
from bot.incidents.storms import Taken
from bot.messages import silences as silence_messages
from bot.messages import storm as messages
from bot.slack.requests import Press
from bot.slack.responses import Answer, OpenForm, Response


class NothingToSilence(Refusal):
    """The open alerts of a storm share no label any more."""

    def __init__(self) -> None:
        super().__init__("The open alerts of this storm have no label in common. Silence them one by one.")


def handle_list_press(context: Context, request: Press) -> Response:
    """`List`: the incidents of the storm that the caller may see."""
    return list_handler.show_list(context, filters.parse_query(f"all storm:{request.value}"))


def handle_summary_list_press(context: Context, _request: Press) -> Response:
    """`List` of a summary: what the caller follows."""
    return list_handler.show_list(context, filters.parse_query("all following:yes"))


def handle_take_press(context: Context, request: Press) -> Response:
    """`Take all`: those that nobody owns."""
    storm_id = filters.parse_storm(request.value)
    taken = Taken(0, 0, 0, 0, after=0)
    while taken.after is not None:
        try:
            with context.write() as tx:
                taken += storm_actions.take_some(tx, context.access, storm_id, context.now, after=taken.after)
        except Exception as error:
            if not taken.taken:
                raise
            raise PartlyDone(messages.render_taken_so_far(taken), error) from error
    return Answer(messages.render_taken(taken, storm_id))


def handle_split_press(context: Context, request: Press) -> Response:
    """`Split`: own cards after all."""
    storm_id = filters.parse_storm(request.value)
    split = storm_actions.NOT_SPLIT
    while split.left:
        try:
            with context.write() as tx:
                split = storm_actions.split_some(tx, context.access, storm_id, context.now, split)
        except Exception as error:
            if not split.number:
                raise
            raise PartlyDone(messages.render_split_so_far(split), error) from error
    return Answer(messages.render_split(split))


def handle_silence_press(context: Context, request: Press) -> Response:
    """`Silence`: the form of `silence`, with the labels that the storm's alerts share chosen."""
    storm_id = filters.parse_storm(request.value)
    found = storm_actions.find_alert_to_silence(context.connection, context.access, storm_id)
    if found is None:
        raise NothingToSilence
    identifier, labels = found
    incident, alert = silences.get_alert(context.connection, context.access, identifier)
    return OpenForm(silence_messages.render_form(incident, alert, origin_of_press(request, identifier), labels))


HANDLES = (
    Feature(
        buttons={
            "storm_list": handle_list_press,  # List
            "summary_list": handle_summary_list_press,  # List
            "storm_take": handle_take_press,  # Take all
            "storm_split": handle_split_press,  # Split
            "storm_silence": handle_silence_press,  # Silence
        },
    ),
)
