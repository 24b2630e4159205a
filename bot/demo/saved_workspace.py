"""Saves the demo's workspace in a file beside the database, and restores it in the next run."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from sandbox import Sandbox

log = structlog.get_logger(__name__)


class SavedWorkspace:
    """The file with the messages of the workspace."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def delete(self) -> None:
        """Deletes the file."""
        self._path.unlink(missing_ok=True)

    def restore(self, slack: Sandbox) -> bool:
        """Restores the file into a workspace with people and channels. Returns False if there is no usable file."""
        try:
            return slack.restore_state(json.loads(self._path.read_text("utf-8")))
        except FileNotFoundError:
            return False
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("what was said in the demo before cannot be read", file=str(self._path), reason=str(error))
            return False

    def write(self, slack: Sandbox) -> None:
        """Saves the workspace, by replacing the file as a whole."""
        new = self._path.with_suffix(".new")
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(slack.save_state()), "utf-8")
        new.replace(self._path)
