"""Tags the buttons of a message with the state that the message shows.

A message may be out of date when a button is pressed. The tag is the id of the last change of status, which is another
one even if the incident was resolved and has the same severity again. It is in the id of the block, as the tag of the
organization is, and stays readable however old the message is. Buttons without a tag act on the present state.
"""

from __future__ import annotations

import re

from bot.messages.blocks import Block, Message

_TAG = re.compile(r"(?:.*\.)?s([0-9]{1,18})")


def tag_state(block: Block, state: int) -> Block:
    """The block with a tag. `state` is the id of the last change of status, 0 if there was none."""
    return {**block, "block_id": f"s{state}"}


def tag_states(shown: Message, state: int) -> Message:
    """The message with a tag on each of its rows of buttons."""
    blocks = [tag_state(block, state) if block["type"] == "actions" else block for block in shown["blocks"]]
    return {**shown, "blocks": blocks}


def parse_state(block_id: str) -> int | None:
    """The id of the last change of status that a message shows, 0 for none; None if the block has no tag."""
    found = _TAG.fullmatch(block_id)
    return int(found[1]) if found else None
