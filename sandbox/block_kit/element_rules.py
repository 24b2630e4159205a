"""What must hold between the fields of an element, and inside the values of its text.

Source: as for `elements`.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation

from sandbox.block_kit.shapes import Visit, matching


def is_date(value: str) -> bool:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) is None:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _options_of(element: Mapping[str, object]) -> list[object]:
    """All options that an element offers, in groups or not; of wrong ones, what can be read."""
    options = element.get("options")
    offered = list(options) if isinstance(options, list) else []
    groups = element.get("option_groups")
    for group in groups if isinstance(groups, list) else []:
        inside = group.get("options") if isinstance(group, dict) else None
        offered.extend(inside if isinstance(inside, list) else [])
    return offered


def initial_option_is_offered(element: Mapping[str, object], at: str, visit: Visit) -> None:
    if "initial_option" in element and element["initial_option"] not in _options_of(element):
        visit.report(f"{at}/initial_option", "must exactly match one of the options")


def initial_options_are_offered(element: Mapping[str, object], at: str, visit: Visit) -> None:
    initial = element.get("initial_options")
    if isinstance(initial, list):
        offered = _options_of(element)
        for index, one in enumerate(initial):
            if one not in offered:
                visit.report(f"{at}/initial_options/{index}", "must exactly match one of the options")


def lengths_in_order(element: Mapping[str, object], at: str, visit: Visit) -> None:
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


NUMBER = matching(lambda it: _decimal(it) is not None, "must be a number")


def numbers_in_order(element: Mapping[str, object], at: str, visit: Visit) -> None:
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


def lines_in_order(element: Mapping[str, object], at: str, visit: Visit) -> None:
    least, most = element.get("min_lines"), element.get("max_lines")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        visit.report(f"{at}/min_lines", "must not be greater than `max_lines`")
