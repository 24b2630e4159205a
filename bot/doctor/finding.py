"""What `doctor` reports: one check, and how to fix what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

# A large organization has more channels than Slack answers questions in a minute; it says how long to wait.
TRIES = 5  # times
NOT_REACHED = "Check SLACK_API_URL, the network, and a proxy on the way."
LATER = "That is not the token's fault: try again in a minute, and see status.slack.com if it stays."


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    what: str
    says: str
    fix: str | None = None  # how to fix it; None: nothing is wrong
    works: bool = False  # the bot works nevertheless, so that `doctor` does not fail for it

    @property
    def sound(self) -> bool:
        """Whether `doctor` passes it."""
        return self.fix is None or self.works

    def line(self) -> str:
        """The line that is printed."""
        if self.fix is None:
            return f"ok     {self.what}: {self.says}"
        level = "WARN " if self.works else "FAULT"
        return f"{level}  {self.what}: {self.says}{'' if self.says.endswith('?') else '.'} {self.fix}"


def get_reason(error: BaseException) -> str:
    """The first line of the message of an error, or of its cause."""
    cause = error.__cause__ or error
    text = str(getattr(cause, "orig", None) or cause).strip() or "no answer"
    return text.splitlines()[0].rstrip(".")
