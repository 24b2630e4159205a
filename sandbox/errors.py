"""The errors: refusals that are returned to the app (with Slack's error names), and exceptions that are raised
in a test or script that drives the workspace. Also the record of the app's mistakes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


class SlackError(Exception):
    """A Web API refusal: Slack's name for it, and any other fields of the response."""

    def __init__(self, error: str, *, messages: Sequence[str] = (), **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.messages = list(messages)
        self.extra = extra


class SandboxError(Exception):
    """The workspace cannot do what was requested; the message says what and why."""


class NotConnected(SandboxError):
    """The app has no open socket (and no request URL is set), so nothing can be sent to it."""


class NotAcknowledged(SandboxError):
    """The app did not acknowledge within the three seconds that Slack gives it."""


class NotThere(SandboxError):
    """The person cannot see the button, field, form or message that they were to use."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing the app did on the wire that Slack would refuse or that no correct app does."""

    kind: str  # Slack's error name, or a short name of the sandbox's own such as `not_acknowledged`
    detail: str  # a sentence that says where it happened
    at: float  # seconds since the epoch, on the workspace's clock

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class Problems:
    """Everything the app did wrong so far, oldest first. Appending is atomic, so no lock is needed."""

    def __init__(self) -> None:
        self._all: list[Problem] = []

    def __iter__(self) -> Iterator[Problem]:
        return iter(list(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"Problems({[str(problem) for problem in self._all]})"

    def add(self, problem: Problem) -> None:
        self._all.append(problem)

    def take(self, kind: str) -> list[Problem]:
        """Remove and return the problems of one kind: for a test that expects them."""
        taken = [problem for problem in self._all if problem.kind == kind]
        self._all = [problem for problem in self._all if problem.kind != kind]
        return taken

    def clear(self) -> None:
        """Remove everything recorded so far."""
        self._all = []
