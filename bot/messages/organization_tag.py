"""Tags messages and forms with the organization for which they were rendered.

Incidents count from 1 in each organization, and a workspace may move from one to another. A button for #1 of the first
must not act on #1 of the second. The tag is in the ids of the blocks, not in the values, so that the previous version
of the bot can read the values. What a block's id says already is kept behind the tag (see `state_tag`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from bot.messages.blocks import Block

_BLOCK_ID = re.compile(r"o([0-9]{1,18})\.[0-9]{1,3}(?:\.\w{1,30})?")

Rendered = TypeVar("Rendered", bound=Mapping[str, Any])


def tag_organization(rendered: Rendered, organization_id: int) -> Rendered:
    """The message or view with a tag on every block that has buttons or menus."""
    found = dict(rendered)
    if "blocks" in found:
        found["blocks"] = _tag_blocks(found["blocks"], organization_id)
    return cast("Rendered", found)


def parse_organization(block_id: str) -> int | None:
    """The id of the organization for which the block was rendered; None if it has no tag."""
    found = _BLOCK_ID.fullmatch(block_id)
    return int(found[1]) if found else None


def _tag_blocks(blocks: list[Block], organization_id: int) -> list[Block]:
    """Sets the ids of blocks that have elements to press."""
    return [
        {**block, "block_id": f"o{organization_id}.{place}{f'.{known}' if (known := block.get('block_id')) else ''}"}
        if "accessory" in block or block["type"] == "actions"
        else block
        for place, block in enumerate(blocks)
    ]
