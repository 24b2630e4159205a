"""What `doctor` reports: one thing that it looked at, and how to mend it where that is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    says: str
    fix: str | None = None  # how; None: nothing is wrong

    def line(self) -> str:
        """As it is printed."""
        if self.fix is None:
            return f"ok     {self.what}: {self.says}"
        return f"FAULT  {self.what}: {self.says}{'' if self.says.endswith('?') else '.'} {self.fix}"


def get_reason(error: BaseException) -> str:
    """The first line of what an error says, or what caused it."""
    cause = error.__cause__ or error
    said = str(getattr(cause, "orig", None) or cause).strip() or "no answer"
    return said.splitlines()[0].rstrip(".")
