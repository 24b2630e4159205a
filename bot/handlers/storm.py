"""The buttons of a storm's message."""

from __future__ import annotations

from bot.handlers import list as list_handler
from bot.handlers.context import Context
from bot.handlers.verb import Feature
from bot.incidents import filters
from bot.slack.requests import Press
from bot.slack.responses import Response


def handle_list_press(context: Context, request: Press) -> Response:
    """`List`: the incidents of the storm that the caller may see."""
    query = filters.parse_query(f"all storm:{request.value}")
    return list_handler.show_list(context, query)


HANDLES = (
    Feature(
        buttons={"storm_list": handle_list_press},  # List
    ),
)
