"""What all blocks have: a `block_id` of their own.

Source: as for `blocks`.
"""

from collections.abc import Mapping

from sandbox.block_kit.shapes import Check, Rule, Visit, accepted, obj, text

BLOCK_ID_LENGTH = text(most=255)


def block_id_of_its_own(value: object, at: str, visit: Visit) -> None:
    """At most 255 characters, and unique in the message or view."""
    BLOCK_ID_LENGTH(value, at, visit)
    if isinstance(value, str):
        if value in visit.block_ids:
            visit.report(at, f'`block_id` "{value}" already exists')
        visit.block_ids.add(value)


def block_with(fields: Mapping[str, Check], required: tuple[str, ...] = (), rules: tuple[Rule, ...] = ()) -> Check:
    return obj({"type": accepted, "block_id": block_id_of_its_own, **fields}, required, rules)
