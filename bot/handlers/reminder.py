"""What an owner presses who was asked whether they are still on an incident."""

from __future__ import annotations

from bot.handlers import redraw
from bot.handlers.context import Context
from bot.handlers.redraw import Place
from bot.handlers.verb import Feature
from bot.incidents import reminders
from bot.messages import answers
from bot.messages.answers import Confirmation
from bot.messages.handoff import list_titles
from bot.messages.incident import build_view_button
from bot.messages.reminder import parse_numbers
from bot.slack.requests import Press
from bot.slack.responses import Response


def handle_still_press(context: Context, request: Press) -> Response:
    """`Still on it`."""
    numbers = parse_numbers(request.value)
    with context.write() as tx:
        mine = reminders.confirm(tx, context.access, numbers, context.now)
        if mine:
            sentence = f"You are still on {list_titles(mine)}."
        else:
            sentence = "You own none of these incidents any more. Nothing was changed."
        buttons = [build_view_button(mine[0].identifier)] if len(mine) == 1 else []
        message = answers.render_confirmation(Confirmation(sentence, buttons))
        return redraw.redraw_in_place(tx, context, request, Place.of_press(request), message)


HANDLES = (Feature(buttons={"reminder_still": handle_still_press}),)  # Still on it
