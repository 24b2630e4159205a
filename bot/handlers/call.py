"""What every handler gets: who asks, what they may see, and the database to answer from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from bot.incidents.errors import Refusal
from bot.incidents.markup import storable
from bot.people.identity import Identity
from bot.people.mentions import MentionReader
from bot.slack.outcomes import Answer
from bot.slack.requests import Ask, Origin, Press
from storage.engine import Store
from storage.queries.once import first_time


@dataclass(frozen=True, slots=True)
class Tools:
    """What handlers share."""

    store: Store
    identity: Identity
    command: str  # the slash command, "/incident"


class AlreadyDone(Refusal):
    """Slack delivered the same request twice."""

    def __init__(self) -> None:
        super().__init__("That has already been done.")


@dataclass(slots=True)
class Call:
    """One request of one member."""

    tools: Tools
    access: Access
    now: datetime
    connection: Connection  # in autocommit, for reading; gone once `write` begins

    @contextmanager
    def write(self, once: str | None = None) -> Iterator[Connection]:
        """The transaction of this request. The reading connection goes back to the pool first: a request never
        holds two.

        `once` names what must not be carried out twice; raises AlreadyDone when it has been.
        """
        self.connection.close()
        with self.tools.store.write() as tx:
            if once is not None and not first_time(tx, self.access.workspace_id, once):
                raise AlreadyDone
            yield tx

    def written(self, text: str) -> CommentText:
        """A text that the caller typed, its mentions resolved. Raises Refusal."""
        return self._mentions().text(storable(text))

    def written_rich(self, block: Mapping[str, Any]) -> CommentText:
        """A rich text that the caller typed, its mentions resolved. Raises Refusal."""
        return self._mentions().block(block)

    def _mentions(self) -> MentionReader:
        return MentionReader(self.tools.identity, self.connection, self.access, self.now)


def trigger(ask: Ask) -> str | None:
    """What names this very command or press, where Slack gave it a name."""
    return f"trigger:{ask.trigger_id}" if ask.trigger_id else None


def origin(press: Press, identifier: int, **more: Any) -> str:
    """What a form remembers of the button that opened it: the incident, and where to show what was changed."""
    return Origin(n=identifier, r=press.response_url, e=press.ephemeral, **more).written()


def back_to(origin_: Mapping[str, Any], message: Mapping[str, Any], otherwise: Mapping[str, Any]) -> Answer:
    """Where a form's result is shown: in place of the message that only the caller sees, else below it.

    A message that others see too is not the caller's to redraw; `otherwise` is then said to them alone.
    """
    url = origin_.get("r")
    replace = bool(origin_.get("e"))
    return Answer(message if replace else otherwise, replace=replace, to=str(url) if url else None)
