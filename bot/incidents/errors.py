"""The errors that a person can cause, each with a sentence for that person."""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn

from bot.incidents.plain_text import disable_formatting


class Refusal(Exception):
    """A request of a person that is refused. `sentence` says why, in plain text."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class PartlyDone(Exception):
    """A change that takes several transactions failed after one that changed something.

    `sentence` says what was done, and how to go on, in plain text. `error` is why the rest was not done.
    """

    def __init__(self, sentence: str, error: Exception) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.error = error

    def raise_error(self) -> NoReturn:
        """Raises `error`."""
        raise self.error


class NotFound(Refusal):
    """The incident does not exist, or the caller may not see it. The sentence does not reveal which."""

    def __init__(self, identifier: int) -> None:
        super().__init__(f"There is no incident #{identifier} that you can see.")
        self.identifier = identifier


class MayNotAct(Refusal):
    """The caller sees the incident's card in a channel, but may not see the incident.

    `title` is the title on the card; None where that is not known.
    """

    def __init__(self, identifier: int, title: str | None) -> None:
        name = f"#{identifier} {disable_formatting(title)}" if title else f"#{identifier}"
        super().__init__(f"You cannot open or change {name}. Only members of its project's teams and managers can.")


class StatusChanged(Refusal):
    """The message with the pressed button shows a state that the incident no longer has."""

    def __init__(self, identifier: int, title: str) -> None:
        super().__init__(
            f"#{identifier} {disable_formatting(title)} changed since this message, so nothing was done."
            " This is how it is now."
        )
        self.identifier = identifier


class CommentGone(Refusal):
    """The comment was deleted, or there never was one with that id."""

    def __init__(self) -> None:
        super().__init__("This comment was deleted.")


class CommentChanged(Refusal):
    """Somebody else changed the comment while it was being edited."""

    def __init__(self) -> None:
        super().__init__(
            "Somebody changed this comment while you were editing it, so your text was not saved. Copy your text,"
            " close this form and press Edit again."
        )


class NotYourComment(Refusal):
    """Only its author or a superuser may change a comment."""

    def __init__(self) -> None:
        super().__init__("Only its author can edit or delete a comment.")


class AlreadyClosed(Refusal):
    """The incident is resolved, and the request needs an open one."""

    def __init__(self, identifier: int, title: str, closed: datetime | None, advice: str) -> None:
        super().__init__(f"#{identifier} {disable_formatting(title)} is already resolved. {advice}".strip())
        self.closed = closed


class SharedChannel(Refusal):
    """Another company can read the channel, and the organization does not allow cards in such channels."""

    def __init__(self) -> None:
        super().__init__(
            "This channel is shared with another company. Your organization does not allow incidents there."
        )


class InvalidInput(Refusal):
    """A command, filter or form field that is invalid.

    `form` is the correct usage; `field` is the name of the field at fault, if the value can come from a form. `wrong`
    is what was typed where `meant` was probably meant. `is_guess` says that `form` is the whole line that was probably
    meant.
    """

    def __init__(
        self,
        sentence: str,
        form: str | None = None,
        *,
        field: str | None = None,
        wrong: str | None = None,
        meant: str | None = None,
        is_guess: bool = False,
    ) -> None:
        super().__init__(f"{sentence} Did you mean “{meant}”?" if meant else sentence)
        self.mistake = sentence  # without the question
        self.form = form
        self.field = field
        self.wrong = wrong
        self.meant = meant
        self.is_guess = is_guess
