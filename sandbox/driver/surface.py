"""The messages, forms and Home that a person sees: their text, and their controls, found by label. These
objects are live: they always return the current state.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self
from zoneinfo import ZoneInfo

from sandbox.blocks import STATEFUL, Control, controls, flat, options_of
from sandbox.errors import NotThere
from sandbox.mrkdwn import seen_text
from sandbox.platform import Platform
from sandbox.records import Json, Message, User
from sandbox.views import View

WAIT_SECONDS = 60.0  # a wait ends as soon as its condition holds


def names_in(platform: Platform) -> dict[str, str]:
    """The names shown for the ids of people, user groups and channels."""
    workspace = platform.workspace
    with workspace.lock:
        return {
            **{user.id: user.real_name for user in workspace.users.values()},
            **{group.id: group.handle for group in workspace.usergroups.values()},
            **{channel.id: channel.name for channel in workspace.channels.values()},
        }


def wait_until(platform: Platform, condition: Callable[[], object], timeout: float, what: Callable[[], str]) -> None:
    """Wait until `condition` holds, and evaluate it after each change; raises AssertionError with `what`
    after `timeout` s.

    The condition is evaluated without the workspace's lock, so it may itself drive the workspace.
    """
    end = time.monotonic() + timeout
    while not condition():
        left = end - time.monotonic()
        if left <= 0:
            raise AssertionError(f"not within {timeout:g} s: {what()}")
        with platform.workspace.changed:
            platform.workspace.changed.wait(min(left, 0.05))


class Surface:
    """Blocks that a person sees."""

    def __init__(self, platform: Platform, reader: User | None) -> None:
        self._platform = platform
        self._reader = reader  # dates are shown in this person's time zone; None: UTC

    def read(self, shown: object) -> str:
        """The text that a person reads in a text object, a block, a message or a list of these."""
        zone = ZoneInfo(self._reader.tz if self._reader else "UTC")
        return seen_text(shown, names_in(self._platform), zone=zone, now=self._platform.clock.utc())

    @property
    def blocks(self) -> list[Json]:
        """The blocks as they are now."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The visible text, one line for each text: without markup, with names for mentions and formatted
        dates.
        """
        return self.read(self.blocks)

    @property
    def markup(self) -> str:
        """The texts as the app wrote them, markup, mentions and escapes as they are; a line each."""
        return "\n".join(texts_in(self.blocks))

    @property
    def buttons(self) -> list[str]:
        """The labels of the buttons, in order."""
        return [control.label for control in self._controls() if control.type == "button"]

    @property
    def labels(self) -> list[str]:
        """The labels of all usable controls except buttons."""
        return [control.label for control in self._controls() if control.type != "button"]

    @property
    def entries(self) -> list[str]:
        """The labels of the entries of its overflow menus, in order."""
        return [control.label for control in self._entries()]

    def _controls(self) -> list[Control]:
        return controls(self.blocks)

    def _entries(self) -> list[Control]:
        """The overflow menus, each once for every entry and with the label of the entry."""
        menus = [control for control in self._controls() if control.type == "overflow"]
        return [replace(menu, label=str(one["text"]["text"])) for menu in menus for one in options_of(menu.element)]

    def row_of(self, control: Control) -> str:
        """The text that belongs to a control: the text of its own block, and the text above it up to the next
        divider or other control, a header included.
        """
        blocks = list(flat(self.blocks))
        position = next(i for i, block in enumerate(blocks) if block["block_id"] == control.block_id)
        row = [blocks[position]]
        if not self.read(row):
            for block in reversed(blocks[:position]):
                if block["type"] == "divider" or controls([block]):
                    break
                row.insert(0, block)
                if block["type"] == "header":
                    break
        return self.read(row)

    def control(
        self,
        label: str,
        *,
        row: int | None = None,
        containing: str | None = None,
        kinds: Sequence[str] | None = None,
    ) -> Control:
        """The control with the label `label`: the `row`-th of several (from 0), or the one whose row contains
        a text.

        Raises NotThere, listing the controls there are.
        """
        found = [c for c in self._controls() if c.label == label and (kinds is None or c.type in kinds)]
        return self._pick(found, label, row, containing)

    def pressable(self, label: str, *, row: int | None = None, containing: str | None = None) -> Control:
        """The button with this label, or the overflow menu with such an entry; arguments and errors as of `control`."""
        buttons = [c for c in self._controls() if c.type == "button"]
        return self._pick([c for c in [*buttons, *self._entries()] if c.label == label], label, row, containing)

    def _pick(self, found: list[Control], label: str, row: int | None, containing: str | None) -> Control:
        if containing is not None:
            found = [c for c in found if _contains(self.row_of(c), containing)]
        if not found or (row is not None and row >= len(found)):
            there = [f"{c.label!r} ({c.type})" for c in [*self._controls(), *self._entries()]]
            where = f" in a row containing {containing!r}" if containing else ""
            raise NotThere(f"no {label!r}{where}; there is: {', '.join(there) or 'nothing to use'}\n{self.text}")
        return found[row or 0]

    def options(self, label: str) -> list[str]:
        """The options that a static select, radio group or set of checkboxes offers."""
        return [str(option["text"]["text"]) for option in options_of(self.control(label, kinds=[*STATEFUL]).element)]

    def wait_for(self, condition: Callable[[Self], object], timeout: float = WAIT_SECONDS) -> Self:
        """Wait until the condition holds for this surface, and return it; raises AssertionError with its
        content.
        """
        wait_until(self._platform, lambda: condition(self), timeout, lambda: f"it still shows\n{self.text}")
        return self


def texts_in(value: object) -> Iterator[str]:
    """Every text in blocks, as it was sent."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def _contains(row: str, text: str) -> bool:
    """Whether a row contains a text; `#1` is not found in `#12`."""
    tail = r"(?!\d)" if text[-1:].isdigit() else ""
    return re.search(re.escape(text) + tail, row) is not None


class SeenMessage(Surface):
    """A message in a channel, in a thread, or shown to one person alone."""

    def __init__(self, platform: Platform, message: Message, reader: User | None = None) -> None:
        super().__init__(platform, reader)
        self.record = message

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeenMessage) and other.record is self.record

    def __hash__(self) -> int:
        return id(self.record)

    def __repr__(self) -> str:
        return f"<message {self.ts}: {self.text!r}>"

    @property
    def blocks(self) -> list[Json]:
        """Its blocks, followed by the blocks of its attachments."""
        body = self.record.body
        return [
            *body.get("blocks", []),
            *(block for attachment in body.get("attachments", []) for block in attachment.get("blocks", [])),
        ]

    @property
    def text(self) -> str:
        """The visible text of the message: its blocks, or its text when there are none, and its attachments."""
        return self.read(self.record.body)

    @property
    def markup(self) -> str:
        """The text as the app sent it: the texts of its blocks, or its text when there are none."""
        body = self.record.body
        return super().markup if body.get("blocks") else str(body.get("text", ""))

    @property
    def notification(self) -> str:
        """The plain `text` that a notification shows."""
        return str(self.record.body.get("text", ""))

    @property
    def raw(self) -> Json:
        """The message object, with its metadata."""
        with self._platform.workspace.lock:
            return self.record.render(with_metadata=True)

    @property
    def ts(self) -> str:
        return self.record.ts

    @property
    def channel_id(self) -> str:
        return self.record.channel_id

    @property
    def author_id(self) -> str:
        return self.record.author_id

    @property
    def from_app(self) -> bool:
        return self.record.by_app

    @property
    def metadata(self) -> Json | None:
        return self.record.metadata

    @property
    def colors(self) -> list[str]:
        """The colours of its attachments."""
        return [str(attachment.get("color", "")) for attachment in self.record.body.get("attachments", [])]

    @property
    def ephemeral(self) -> bool:
        """Whether only one person sees it."""
        return self.record.ephemeral_to is not None

    @property
    def deleted(self) -> bool:
        return self.record.deleted

    @property
    def edits(self) -> int:
        """How often it was changed."""
        return self.record.edits

    @property
    def reactions(self) -> Mapping[str, Sequence[str]]:
        """The reactions, each with the ids of the people who added it."""
        with self._platform.workspace.lock:
            return {name: list(users) for name, users in self.record.reactions.items()}

    @property
    def thread(self) -> "list[SeenMessage]":
        """The replies, oldest first."""
        with self._platform.workspace.lock:
            return [SeenMessage(self._platform, reply, self._reader) for reply in self.record.replies]


class ViewSurface(Surface):
    """A form or a Home."""

    def __init__(self, platform: Platform, view: View) -> None:
        super().__init__(platform, view.user)
        self.view = view

    @property
    def blocks(self) -> list[Json]:
        return self.view.blocks

    @property
    def user(self) -> User:
        return self.view.user


class Home(ViewSurface):
    """Someone's Home tab."""

    def __repr__(self) -> str:
        return f"<home of {self.user.name}: {self.text!r}>"
