"""What can go wrong, in two directions: the refusals that the app is answered with (Slack's error names),
and the exceptions that a test or a script driving the workspace may meet. Also the record of what the app
did wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


class SlackError(Exception):
    """A Web API refusal: Slack's name for it, and whatever else belongs in the answer."""

    def __init__(self, error: str, *, messages: Sequence[str] = (), **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.messages = list(messages)
        self.extra = extra


class SandboxError(Exception):
    """Something asked of the workspace cannot be done; the message says what and why."""


class NotConnected(SandboxError):
    """The app holds no open socket (and no request URL is set), so nothing can reach it."""


class NotAcknowledged(SandboxError):
    """The app did not acknowledge within the three seconds that Slack gives it."""


class NotThere(SandboxError):
    """The button, field, form or message that a person was to use is not in front of them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing the app did on the wire that Slack would refuse or that no correct app does."""

    kind: str  # Slack's error name, or a short name of ours such as `not_acknowledged`
    detail: str  # a sentence, with the place where it happened
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
        """Forget everything recorded so far."""
        self._all = []
