"""What all blocks have: a `block_id` of their own.

Source: as for `blocks`.
"""

from collections.abc import Mapping

from sandbox.block_kit.shapes import Check, Rule, Visit, accepted, obj, text

BLOCK_ID_LENGTH = text(most=255)


def block_id_of_its_own(value: object, at: str, visit: Visit) -> None:
    """At most 255 characters, and unique in the message or view."""
    BLOCK_ID_LENGTH(value, at, visit)
    report_repeated("block_id", value, visit.block_ids, at, visit)


def report_repeated(name: str, value: object, known: set[str], at: str, visit: Visit) -> None:
    """Reports an id that is known, and adds it to those that are."""
    if isinstance(value, str):
        if value in known:
            visit.report(at, f'`{name}` "{value}" already exists')
        known.add(value)


def block_with(fields: Mapping[str, Check], required: tuple[str, ...] = (), rules: tuple[Rule, ...] = ()) -> Check:
    return obj({"type": accepted, "block_id": block_id_of_its_own, **fields}, required, rules)
