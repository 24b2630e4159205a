"""Block elements: buttons, menus, pickers, inputs, images, and in which blocks and surfaces each may stand.

Source: the page of each element below docs.slack.dev/reference/block-kit/block-elements, which also names the
blocks that it works with and its surfaces; both as one table at
api.slack.com/reference/block-kit/block-elements.
"""

import re
from collections.abc import Collection, Mapping

from sandbox.block_kit.block_parts import report_repeated
from sandbox.block_kit.composition import (
    CHOICE_OPTION,
    CONFIRM,
    CONVERSATION_FILTER,
    DISPATCH_ACTION_CONFIG,
    OPTION_GROUP,
    OVERFLOW_OPTION,
    SELECT_OPTION,
    STYLE,
    WORKFLOW,
    slack_file,
    text_object,
)
from sandbox.block_kit.element_rules import (
    NUMBER,
    initial_option_is_offered,
    initial_options_are_offered,
    is_date,
    lengths_in_order,
    lines_in_order,
    numbers_in_order,
)
from sandbox.block_kit.rich_text import NESTED_RICH_TEXT
from sandbox.block_kit.shapes import (
    Check,
    Rule,
    Surface,
    Visit,
    accepted,
    array,
    boolean,
    exactly_one,
    integer,
    matching,
    obj,
    one_of,
    tagged,
    text,
    url,
)

_ACTION_ID_LENGTH = text(most=255)


def _action_id(value: object, at: str, visit: Visit) -> None:
    """At most 255 characters, and unique among the elements of one block."""
    _ACTION_ID_LENGTH(value, at, visit)
    report_repeated("action_id", value, visit.action_ids, at, visit)


def _focus_on_load(value: object, at: str, visit: Visit) -> None:
    """Only one element of a view may have it set."""
    boolean(value, at, visit)
    if value is True:
        visit.focused += 1
        if visit.focused > 1:
            visit.report(at, "only one element can be set to `focus_on_load`")


def _response_url_enabled(value: object, at: str, visit: Visit) -> None:
    """select-menu-element: "only works with menus in input blocks in modals"."""
    boolean(value, at, visit)
    if value is True and not (visit.surface == "modal" and visit.in_input):
        visit.report(at, "`response_url_enabled` requires an `input` block in a modal")


_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")

_PLACEHOLDER = text_object(150)


def _element(
    fields: Mapping[str, Check],
    required: tuple[str, ...] = (),
    rules: tuple[Rule, ...] = (),
    *,
    confirm: bool = True,
) -> Check:
    common: dict[str, Check] = {"type": accepted, "action_id": _action_id}
    if confirm:
        common["confirm"] = CONFIRM
    return obj({**common, **fields}, required, rules)


def _menu(fields: Mapping[str, Check], rules: tuple[Rule, ...] = ()) -> Check:
    """select-menu-element: what every kind of menu has."""
    return _element({"placeholder": _PLACEHOLDER, "focus_on_load": _focus_on_load, **fields}, (), rules)


def _multi_menu(fields: Mapping[str, Check], rules: tuple[Rule, ...] = ()) -> Check:
    """multi-select-menu-element: a menu with `max_selected_items`, at least 1."""
    return _menu({"max_selected_items": integer(1), **fields}, rules)


_STATIC: dict[str, Check] = {
    "options": array(SELECT_OPTION, most=100),
    "option_groups": array(OPTION_GROUP, most=100),
}
_OPTIONS_OR_GROUPS = exactly_one("options", "option_groups")
_IDS = array(text())
_CONVERSATIONS: dict[str, Check] = {
    "default_to_current_conversation": boolean,
    "filter": CONVERSATION_FILTER,
}


def _input(fields: Mapping[str, Check], required: tuple[str, ...] = (), rules: tuple[Rule, ...] = ()) -> Check:
    """What people type into: a placeholder and, with `dispatch_action_config`, word of what they type."""
    typed: dict[str, Check] = {
        "placeholder": _PLACEHOLDER,
        "dispatch_action_config": DISPATCH_ACTION_CONFIG,
        "focus_on_load": _focus_on_load,
    }
    return _element({**typed, **fields}, required, rules, confirm=False)


_BUTTON_TEXT = text_object(75)
_BUTTON_VALUE = text(most=2000)
_ACCESSIBILITY_LABEL = text(most=75)

# feedback-buttons-element, "button object fields".
_FEEDBACK_BUTTON = obj(
    {"text": _BUTTON_TEXT, "value": _BUTTON_VALUE, "accessibility_label": _ACCESSIBILITY_LABEL},
    ("text", "value"),
)

IMAGE_FIELDS: dict[str, Check] = {
    "type": accepted,
    # image-block and image-element: 3,000 characters of URL, 2,000 of alternative text, one source.
    "image_url": url(schemes=("http", "https")),
    "slack_file": slack_file,
    "alt_text": text(most=2000),
}
ONE_IMAGE_SOURCE = exactly_one("image_url", "slack_file")
IMAGE = obj(IMAGE_FIELDS, ("alt_text",), (ONE_IMAGE_SOURCE,))

BUTTON = _element(
    {
        # button-element; the fields about Slackbot and visibility from slack_sdk.
        "text": _BUTTON_TEXT,
        "url": url(),
        "value": _BUTTON_VALUE,
        "style": STYLE,
        "accessibility_label": _ACCESSIBILITY_LABEL,
        "agent_prompt": text(most=4000),
        "agent_prompt_display": text(),
        "visible_to_user_ids": array(text()),
    },
    ("text",),
)

ELEMENTS: dict[str, Check] = {
    "button": BUTTON,
    "image": IMAGE,
    "checkboxes": _element(
        {
            "options": array(CHOICE_OPTION, most=10),
            "initial_options": array(CHOICE_OPTION),
            "focus_on_load": _focus_on_load,
        },
        ("options",),
        (initial_options_are_offered,),
    ),
    "radio_buttons": _element(
        {
            "options": array(CHOICE_OPTION, most=10),
            "initial_option": CHOICE_OPTION,
            "focus_on_load": _focus_on_load,
        },
        ("options",),
        (initial_option_is_offered,),
    ),
    "overflow": _element({"options": array(OVERFLOW_OPTION, most=5)}, ("options",)),
    "datepicker": _element(
        {
            "initial_date": matching(is_date, "must be a date like YYYY-MM-DD"),
            "placeholder": _PLACEHOLDER,
            "focus_on_load": _focus_on_load,
        }
    ),
    "timepicker": _element(
        {
            "initial_time": matching(lambda it: bool(_TIME.fullmatch(it)), "must be a time like HH:mm"),
            "timezone": text(),
            "placeholder": _PLACEHOLDER,
            "focus_on_load": _focus_on_load,
        }
    ),
    # datetime-picker-element: a UNIX time of ten digits.
    "datetimepicker": _element(
        {"initial_date_time": integer(1_000_000_000, 9_999_999_999), "focus_on_load": _focus_on_load}
    ),
    "static_select": _menu(
        {**_STATIC, "initial_option": SELECT_OPTION}, (_OPTIONS_OR_GROUPS, initial_option_is_offered)
    ),
    "external_select": _menu({"initial_option": SELECT_OPTION, "min_query_length": integer(0)}),
    "users_select": _menu({"initial_user": text()}),
    "conversations_select": _menu(
        {**_CONVERSATIONS, "initial_conversation": text(), "response_url_enabled": _response_url_enabled}
    ),
    "channels_select": _menu({"initial_channel": text(), "response_url_enabled": _response_url_enabled}),
    "multi_static_select": _multi_menu(
        {**_STATIC, "initial_options": array(SELECT_OPTION)},
        (_OPTIONS_OR_GROUPS, initial_options_are_offered),
    ),
    "multi_external_select": _multi_menu({"initial_options": array(SELECT_OPTION), "min_query_length": integer(0)}),
    "multi_users_select": _multi_menu({"initial_users": _IDS}),
    "multi_conversations_select": _multi_menu({**_CONVERSATIONS, "initial_conversations": _IDS}),
    "multi_channels_select": _multi_menu({"initial_channels": _IDS}),
    # plain-text-input-element gives no limit for the initial value: the one of what may be typed is taken.
    "plain_text_input": _input(
        {
            "initial_value": text(0, 3000),
            "multiline": boolean,
            "min_length": integer(0, 3000),
            "max_length": integer(1, 3000),
        },
        rules=(lengths_in_order,),
    ),
    "rich_text_input": _input(
        {"initial_value": NESTED_RICH_TEXT, "min_lines": integer(1, 100), "max_lines": integer(1, 100)},
        ("action_id",),
        (lines_in_order,),
    ),
    "email_text_input": _input({"initial_value": matching(lambda it: bool(_EMAIL.fullmatch(it)), "invalid email")}),
    "url_text_input": _input({"initial_value": url()}),
    "number_input": _input(
        {"is_decimal_allowed": boolean, "initial_value": NUMBER, "min_value": NUMBER, "max_value": NUMBER},
        ("is_decimal_allowed",),
        (numbers_in_order,),
    ),
    "file_input": _element({"filetypes": array(text()), "max_files": integer(1, 10)}, confirm=False),
    "workflow_button": _element(
        {
            "text": _BUTTON_TEXT,
            "workflow": WORKFLOW,
            "style": STYLE,
            "accessibility_label": _ACCESSIBILITY_LABEL,
        },
        ("text", "workflow", "action_id"),
        confirm=False,
    ),
    "feedback_buttons": _element(
        {"positive_button": _FEEDBACK_BUTTON, "negative_button": _FEEDBACK_BUTTON},
        ("positive_button", "negative_button"),
        confirm=False,
    ),
    # icon-button-element: "the trash icon is the only icon available at this time".
    "icon_button": _element(
        {
            "icon": one_of("trash"),
            "text": _BUTTON_TEXT,
            "value": _BUTTON_VALUE,
            "accessibility_label": _ACCESSIBILITY_LABEL,
            "visible_to_user_ids": array(text(), most=10),
        },
        ("icon", "text"),
    ),
}

# The surfaces of the elements that may not stand everywhere.
_SURFACES: dict[str, tuple[Surface, ...]] = {
    "datetimepicker": ("message", "modal"),
    "rich_text_input": ("modal", "home"),
    "email_text_input": ("modal",),
    "url_text_input": ("modal",),
    "number_input": ("modal",),
    "file_input": ("modal",),
    "workflow_button": ("message",),
}

_MENUS = (
    "static_select",
    "external_select",
    "users_select",
    "conversations_select",
    "channels_select",
    "multi_static_select",
    "multi_external_select",
    "multi_users_select",
    "multi_conversations_select",
    "multi_channels_select",
)
_CHOICES = ("checkboxes", "radio_buttons", "datepicker", "timepicker", *_MENUS)


def _on_its_surfaces(kind: str, check: Check) -> Check:
    surfaces = _SURFACES.get(kind)
    if surfaces is None:
        return check

    def restricted(value: object, at: str, visit: Visit) -> None:
        if visit.surface in surfaces:
            check(value, at, visit)
        else:
            visit.report(f"{at}/type", f"unsupported type: {kind}")

    return restricted


def element(kinds: Collection[str], further: Mapping[str, Check] | None = None) -> Check:
    """An element of one of `kinds`, where the surface allows it, or one of the `further` objects."""
    checks = {kind: _on_its_surfaces(kind, ELEMENTS[kind]) for kind in kinds}
    return tagged({**checks, **(further or {})})


ACCESSORY = element(("button", "image", "overflow", "workflow_button", *_CHOICES))
IN_ACTIONS = element(("button", "overflow", "workflow_button", "datetimepicker", *_CHOICES))
IN_CONTEXT_ACTIONS = element(("feedback_buttons", "icon_button"))
IN_INPUT = element(
    (
        *_CHOICES,
        "datetimepicker",
        "plain_text_input",
        "rich_text_input",
        "email_text_input",
        "url_text_input",
        "number_input",
        "file_input",
    )
)
