"""Whose a message or form is: the organization for which it was drawn, written where buttons and forms bring it back.

Incidents count from 1 in each organization, and a workspace may move from one to another: then a button for #1 of the
one must not act on #1 of the other. The organization stands in the ids of the blocks beside the values, not in them, so
that the version before this one reads what this one draws.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from bot.messages.blocks import Block

_BLOCK_ID = re.compile(r"o([0-9]{1,18})\.[0-9]{1,3}")

Rendered = TypeVar("Rendered", bound=Mapping[str, Any])


def tag_organization(rendered: Rendered, organization_id: int) -> Rendered:
    """A message or view whose buttons and menus say for which organization they were drawn."""
    found = dict(rendered)
    if "blocks" in found:
        found["blocks"] = _tag_blocks(found["blocks"], organization_id)
    if found.get("attachments"):
        found["attachments"] = [
            {**one, "blocks": _tag_blocks(one["blocks"], organization_id, place)} if "blocks" in one else one
            for place, one in enumerate(found["attachments"], 1)
        ]
    return cast("Rendered", found)


def parse_organization(block_id: str) -> int | None:
    """The organization for which the block was drawn; None where it does not say."""
    found = _BLOCK_ID.fullmatch(block_id)
    return int(found[1]) if found else None


def _tag_blocks(blocks: list[Block], organization_id: int, part: int = 0) -> list[Block]:
    """Blocks that have something to press, with an id; unique in the message, of which `part` is one."""
    return [
        {**block, "block_id": f"o{organization_id}.{part * 100 + place}"}
        if "accessory" in block or block["type"] == "actions"
        else block
        for place, block in enumerate(blocks)
    ]
