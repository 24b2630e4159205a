"""Which incidents a list holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.values import Status


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which incidents a list holds. The defaults leave nothing out."""

    project_ids: Sequence[int]  # never more than the caller sees
    # Set where those are all the projects of this organization: its newest incidents are then found without
    # going through the projects one by one.
    organization_id: int | None = None
    status: Status | None = None  # None: every status
    open: bool = False  # every status but CLOSED; `status` is then None
    words: tuple[str, ...] = ()  # each a case-insensitive part of the title
    team_ids: tuple[int, ...] | None = None  # NO_TEAM stands for "no team owns it"
    environment: str | None = None
    since: datetime | None = None  # leaves out what closed before
    until: datetime | None = None  # leaves out what started after
    unseen_by: int | None = None  # a member's id: only what they have not acknowledged
    followed_by: int | None = None  # a member's id: only what they follow


def build_like_pattern(word: str) -> str:
    """A pattern of LIKE for texts that hold a word."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
