"""The demo's workspace between two runs: written beside the database, and taken up again."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from sandbox import Sandbox

log = structlog.get_logger(__name__)


class SavedWorkspace:
    """The file that holds what was said in the workspace."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def delete(self) -> None:
        """Begins anew."""
        self._path.unlink(missing_ok=True)

    def restore(self, slack: Sandbox) -> bool:
        """Puts it into a furnished workspace; False where there is nothing that can be used."""
        try:
            return slack.take_up(json.loads(self._path.read_text("utf-8")))
        except FileNotFoundError:
            return False
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("what was said in the demo before cannot be read", file=str(self._path), reason=str(error))
            return False

    def write(self, slack: Sandbox) -> None:
        """Writes it down: the whole file or none of it."""
        new = self._path.with_suffix(".new")
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(slack.written()), "utf-8")
        new.replace(self._path)
