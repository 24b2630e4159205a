"""The form to create or change a digest, and its preview."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.incidents.filters import ListQuery
from bot.incidents.markup import escape
from bot.messages.blocks import (
    MAX_FORM_TITLE,
    MAX_OPTION_TEXT,
    Block,
    Message,
    actions,
    build_input,
    button,
    context,
    divider,
    plain_text,
    section,
    truncate,
)
from bot.messages.digest import Summary
from bot.messages.digest_answers import Notes, capitalize, render_notes
from bot.messages.forms import FilterChoices, Form, build_digest_filters
from bot.messages.incident_parts import NAME_LENGTH

# block_id and action_id of each field.
CHANNEL, SCHEDULE, ZONE, EMPTY, PICTURE = "channel", "schedule", "zone", "empty", "picture"
WORDS = "words"  # where a mistake in the filters stands that no other field is at fault for
MAX_FORM_BLOCKS = 100

_OF_OTHER = (
    "{owner} owns this digest, and it shows what they can see. If you change its channel or its filters, you become its"
    " owner."
)
_EMPTY = (("send", "Send a short all-clear"), ("skip", "Send nothing"))


def render_form(
    title: str,
    submit: str,
    origin: str,
    *,
    channel_id: str | None,
    schedule: str,
    zone: str,
    query: ListQuery,
    choices: FilterChoices,
    skip_empty: bool,
    picture: bool,
    owner: str | None = None,
) -> Form:
    """The form with these values. `owner` is the name of the digest's owner, if that is somebody else."""
    channel: dict[str, Any] = {
        "type": "conversations_select",
        "action_id": CHANNEL,
        "filter": {"include": ["public", "private"], "exclude_bot_users": True},
    }
    if channel_id:
        channel["initial_conversation"] = channel_id
    empty = [_build_option(value, label) for value, label in _EMPTY]
    with_picture = _build_option("yes", "Add a chart of the last 14 days")
    blocks = [
        build_input(CHANNEL, "Channel", channel),
        build_input(
            SCHEDULE,
            "When",
            _build_text_field(SCHEDULE, schedule, "weekdays at 9"),
            hint="weekdays at 9 · every day at 5:30 pm · every monday at 8 · hourly · or cron: 0 9 * * 1-5",
        ),
        build_input(ZONE, "Time zone", _build_text_field(ZONE, zone, "Europe/Berlin")),
        *build_digest_filters(query, choices),
        build_input(
            EMPTY,
            "When nothing is open",
            {
                "type": "radio_buttons",
                "action_id": EMPTY,
                "options": empty,
                "initial_option": empty[1 if skip_empty else 0],
            },
        ),
        build_input(
            PICTURE,
            "Chart",
            {
                "type": "checkboxes",
                "action_id": PICTURE,
                "options": [with_picture],
                **({"initial_options": [with_picture]} if picture else {}),
            },
            optional=True,
        ),
        actions([button("Preview", "digest_form_preview", "preview")]),
    ]
    if owner:
        blocks.insert(0, context(_OF_OTHER.format(owner=truncate(escape(owner), NAME_LENGTH))))
    return {
        "type": "modal",
        "callback_id": "digest",
        "title": plain_text(title, MAX_FORM_TITLE),
        "submit": plain_text(submit, MAX_FORM_TITLE),
        "close": plain_text("Cancel", MAX_FORM_TITLE),
        "private_metadata": origin,
        "blocks": blocks,
    }


def render_preview(summary: Summary, notes: Notes, shown: Message) -> Form:
    """What the digest would show now, on top of its form."""
    blocks: list[Block] = [section(f"*{capitalize(summary.when)}*{summary.what}"), *render_notes(notes)]
    blocks += [divider(), *_without_buttons(shown["blocks"])]
    return {
        "type": "modal",
        "title": plain_text("Preview", MAX_FORM_TITLE),
        "close": plain_text("Back", MAX_FORM_TITLE),
        "blocks": blocks[:MAX_FORM_BLOCKS],
    }


def _without_buttons(blocks: Sequence[Block]) -> list[Block]:
    """Removes buttons, as a preview on top of a form cannot be answered with a message."""
    return [
        {key: value for key, value in block.items() if key != "accessory"}
        for block in blocks
        if block["type"] != "actions"
    ]


def _build_text_field(action_id: str, value: str, placeholder: str) -> dict[str, Any]:
    element: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": action_id,
        "placeholder": plain_text(placeholder, 150),
        "max_length": 500,
    }
    if value:
        element["initial_value"] = value
    return element


def _build_option(value: str, label: str) -> dict[str, Any]:
    return {"text": plain_text(label, MAX_OPTION_TEXT), "value": value}
