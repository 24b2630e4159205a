"""The filter of a list of incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.values import Status


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which incidents a list contains. The defaults exclude nothing."""

    organization_id: int
    project_ids: Sequence[int]  # only projects that the caller sees
    # Whether these are all the projects of the organization. The newest incidents are then found without a scan for
    # each project.
    of_all_projects: bool = False
    status: Status | None = None  # None: every status
    open: bool = False  # every status but CLOSED; `status` is then None
    words: tuple[str, ...] = ()  # substrings of the title, matched without regard to case
    team_ids: tuple[int, ...] | None = None  # NO_TEAM: incidents that no team owns
    environment: str | None = None
    since: datetime | None = None  # excludes incidents that closed before this time
    until: datetime | None = None  # excludes incidents that started after this time
    unseen_by: int | None = None  # a member's id: only incidents that they have not acknowledged
    followed_by: int | None = None  # a member's id: only incidents that they are subscribed to
    owned_by: int | None = None  # a member's id: only incidents that they own
    storm: int | None = None  # a storm's id: only incidents of this storm
    unowned: bool = False  # only incidents that nobody owns
    silenced: bool = False  # only incidents that a silence holds


def build_like_pattern(word: str) -> str:
    """Returns a LIKE pattern that matches texts that contain `word`."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
