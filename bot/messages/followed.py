"""What somebody follows before it exists."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.markup import encode_entities
from bot.messages.blocks import Block, Message, button, context, message, section


def render_followed(followed: Sequence[tuple[int, str]], command: str, *, notice: str | None = None) -> Message:
    """What the caller follows before it exists, each with its id and as people type it."""
    blocks: list[Block] = [section(notice)] if notice else []
    slash = encode_entities(command)
    if followed:
        lead = "You follow new incidents that match any of these."
        blocks.append(section(lead))
        for id_, name in followed:
            blocks.append(section(f"`{encode_entities(name)}`", accessory=button("Unsubscribe", "unfollow", str(id_))))
    else:
        lead = "You follow no new incidents of a team, a project or a severity."
        blocks.append(section(f"{lead} `{slash} subscribe team:payments critical` does, for example."))
    blocks.append(context(f"`{slash} list following:yes` shows the incidents that you follow."))
    return message(f"{notice} {lead}" if notice else lead, blocks)


def render_followed_line(names: Sequence[str]) -> list[Block]:
    """The same in a line, for Home; nothing without any."""
    if not names:
        return []
    listed = ", ".join(f"`{encode_entities(name)}`" for name in names)
    return [context(f"You also follow new incidents that match {listed}. `unsubscribe` lists them, to stop that.")]
