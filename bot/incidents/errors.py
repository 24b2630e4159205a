"""What a person can do wrong, each with the sentence that they are told."""

from __future__ import annotations

from datetime import datetime


class Refusal(Exception):
    """Something a person asked for that is not done, and why. `sentence` is plain text for that person."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class AlreadyDone(Refusal):
    """Slack delivered a request again that has been carried out."""

    def __init__(self) -> None:
        super().__init__("That has already been done.")


class NotFound(Refusal):
    """No such incident, or not theirs to see: the same answer to both, so that it tells nothing."""

    def __init__(self, identifier: int) -> None:
        super().__init__(f"There is no incident #{identifier} that you can see.")
        self.identifier = identifier


class CommentGone(Refusal):
    """The comment was deleted, or never was one."""

    def __init__(self) -> None:
        super().__init__("That comment is no longer there: it has been deleted.")


class CommentChanged(Refusal):
    """Somebody gave the comment another text while it was being edited."""

    def __init__(self) -> None:
        super().__init__(
            "The comment was changed meanwhile, so yours was not saved. Copy your text, close this form and press"
            " Edit again: it then holds what the comment says now."
        )


class NotYourComment(Refusal):
    """A comment is changed by its author, or by a superuser."""

    def __init__(self) -> None:
        super().__init__("Only the author of a comment can edit or delete it.")


class AlreadyClosed(Refusal):
    """The incident is resolved, and what was asked needs it open."""

    def __init__(self, identifier: int, title: str, closed: datetime | None, advice: str) -> None:
        super().__init__(f"#{identifier} {title} is already resolved. {advice}".strip())
        self.closed = closed


class SharedChannel(Refusal):
    """A channel that another company reads too, which the organization does not allow."""

    def __init__(self) -> None:
        super().__init__("This channel is shared with another company, and your organization allows no cards there.")


class BadWords(Refusal):
    """A command, filter or field that makes no sense.

    `form` is the command that would be right; `field` names what is at fault, where it may stand in a form.
    """

    def __init__(self, sentence: str, form: str | None = None, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.form = form
        self.field = field
