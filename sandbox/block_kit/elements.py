"""Block elements: buttons, menus, pickers, inputs, images, and in which blocks and surfaces each may stand.

Source: the page of each element below docs.slack.dev/reference/block-kit/block-elements, which also names the
blocks that it works with and its surfaces; both as one table at
api.slack.com/reference/block-kit/block-elements.
"""

import re
from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation

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
    if isinstance(value, str):
        if value in visit.action_ids:
            visit.report(at, f'`action_id` "{value}" already exists')
        visit.action_ids.add(value)


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


def _is_date(value: str) -> bool:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) is None:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


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


def _options_of(element: Mapping[str, object]) -> list[object]:
    """All options that an element offers, in groups or not; of wrong ones, what can be read."""
    options = element.get("options")
    offered = list(options) if isinstance(options, list) else []
    groups = element.get("option_groups")
    for group in groups if isinstance(groups, list) else []:
        inside = group.get("options") if isinstance(group, dict) else None
        offered.extend(inside if isinstance(inside, list) else [])
    return offered


def _initial_option_is_offered(element: Mapping[str, object], at: str, visit: Visit) -> None:
    if "initial_option" in element and element["initial_option"] not in _options_of(element):
        visit.report(f"{at}/initial_option", "must exactly match one of the options")


def _initial_options_are_offered(element: Mapping[str, object], at: str, visit: Visit) -> None:
    initial = element.get("initial_options")
    if isinstance(initial, list):
        offered = _options_of(element)
        for index, one in enumerate(initial):
            if one not in offered:
                visit.report(f"{at}/initial_options/{index}", "must exactly match one of the options")


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


def _lengths_in_order(element: Mapping[str, object], at: str, visit: Visit) -> None:
    least, most = element.get("min_length"), element.get("max_length")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        visit.report(f"{at}/min_length", "must not be greater than `max_length`")


def _decimal(value: object) -> Decimal | None:
    if not isinstance(value, str) or re.fullmatch(r"-?\d+(\.\d+)?", value) is None:
        return None
    try:
        return Decimal(value)
    except InvalidOperation:  # more digits than a decimal holds
        return None


_NUMBER = matching(lambda it: _decimal(it) is not None, "must be a number")


def _numbers_in_order(element: Mapping[str, object], at: str, visit: Visit) -> None:
    """number-input-element: min_value <= initial_value <= max_value, whole unless decimals are allowed."""
    values = {name: _decimal(element.get(name)) for name in ("min_value", "initial_value", "max_value")}
    for low, high in (
        ("min_value", "max_value"),
        ("min_value", "initial_value"),
        ("initial_value", "max_value"),
    ):
        smaller, greater = values[low], values[high]
        if smaller is not None and greater is not None and smaller > greater:
            visit.report(f"{at}/{low}", f"must not be greater than `{high}`")
    if element.get("is_decimal_allowed") is False:
        for name, value in values.items():
            if value is not None and value != value.to_integral_value():
                visit.report(f"{at}/{name}", "must be a whole number")


def _lines_in_order(element: Mapping[str, object], at: str, visit: Visit) -> None:
    least, most = element.get("min_lines"), element.get("max_lines")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        visit.report(f"{at}/min_lines", "must not be greater than `max_lines`")


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
        (_initial_options_are_offered,),
    ),
    "radio_buttons": _element(
        {
            "options": array(CHOICE_OPTION, most=10),
            "initial_option": CHOICE_OPTION,
            "focus_on_load": _focus_on_load,
        },
        ("options",),
        (_initial_option_is_offered,),
    ),
    "overflow": _element({"options": array(OVERFLOW_OPTION, most=5)}, ("options",)),
    "datepicker": _element(
        {
            "initial_date": matching(_is_date, "must be a date like YYYY-MM-DD"),
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
        {**_STATIC, "initial_option": SELECT_OPTION}, (_OPTIONS_OR_GROUPS, _initial_option_is_offered)
    ),
    "external_select": _menu({"initial_option": SELECT_OPTION, "min_query_length": integer(0)}),
    "users_select": _menu({"initial_user": text()}),
    "conversations_select": _menu(
        {**_CONVERSATIONS, "initial_conversation": text(), "response_url_enabled": _response_url_enabled}
    ),
    "channels_select": _menu({"initial_channel": text(), "response_url_enabled": _response_url_enabled}),
    "multi_static_select": _multi_menu(
        {**_STATIC, "initial_options": array(SELECT_OPTION)},
        (_OPTIONS_OR_GROUPS, _initial_options_are_offered),
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
        rules=(_lengths_in_order,),
    ),
    "rich_text_input": _input(
        {"initial_value": NESTED_RICH_TEXT, "min_lines": integer(1, 100), "max_lines": integer(1, 100)},
        ("action_id",),
        (_lines_in_order,),
    ),
    "email_text_input": _input({"initial_value": matching(lambda it: bool(_EMAIL.fullmatch(it)), "invalid email")}),
    "url_text_input": _input({"initial_value": url()}),
    "number_input": _input(
        {"is_decimal_allowed": boolean, "initial_value": _NUMBER, "min_value": _NUMBER, "max_value": _NUMBER},
        ("is_decimal_allowed",),
        (_numbers_in_order,),
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
