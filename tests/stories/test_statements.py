"""How often a read goes to the database: every time costs as much as a small query."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from bot.handlers.router import Router
from bot.slack.requests import Command
from bot.slack.responses import Response
from storage.prepared import PreparedStatement
from tests.stories.conftest import World


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that commands ran, on their own threads; PREPARE, once for each connection, is none."""
    found: list[str] = []
    here = threading.local()
    command, run = Router.command, PreparedStatement._run

    def counting(self: Router, ask: Command) -> Response:
        here.counts = True
        try:
            return command(self, ask)
        finally:
            here.counts = False

    def prepared(
        self: PreparedStatement, connection: Connection, parameters: Mapping[str, Any], **named: bool
    ) -> tuple[list[tuple[Any, ...]], int]:
        if getattr(here, "counts", False):
            found.append(self.name)
        return run(self, connection, parameters, **named)

    def ran(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if getattr(here, "counts", False):
            found.append(statement)

    monkeypatch.setattr(Router, "command", counting)
    monkeypatch.setattr(PreparedStatement, "_run", prepared)
    event.listen(Engine, "before_cursor_execute", ran)
    yield found
    event.remove(Engine, "before_cursor_execute", ran)


@pytest.mark.parametrize(
    ("words", "most"),
    [
        ("list", 1),
        ("list critical", 1),
        ("view 1", 1),
        ("1", 1),
        ("list payments", 2),
        ("list team:mine,payments", 2),
        ("list all project:checkout team:payments env:prod since:7d payments", 3),
        ("activity 1", 3),
        ("whoami", 3),
    ],
)
def test_a_read_takes_few_statements(world: World, statements: list[str], words: str, most: int) -> None:
    world.declare("Payments fail with 502", options="critical project:checkout team:payments env:prod")
    world.ask(world.ben, "whoami")  # who has not been seen before is asked about
    statements.clear()
    answer = world.ask(world.ben, words)
    assert "#1 " in answer.text or words == "whoami"
    assert len(statements) <= most, statements


@pytest.mark.parametrize(
    "words",
    [
        *(
            "view {}",
            "{}",
            "ack {}",
            "resolve {} done",
            "reopen {} back",
            "severity {} critical",
            "comment {} hello @dan",
        ),
        *("activity {}", "subscribe {}", "unsubscribe {}"),
    ],
)
def test_what_is_hidden_takes_what_takes_what_is_missing(world: World, statements: list[str], words: str) -> None:
    world.declare("Search is slow", options="critical project:catalogue team:search")  # Search's, and not Ben's
    world.ask(world.cyn, "comment 1 so it is")
    world.ask(world.ben, "whoami")
    ran = []
    for identifier in ("1", "77"):
        statements.clear()
        assert (
            f"There is no incident #{identifier} that you can see"
            in world.ask(world.ben, words.format(identifier)).text
        )
        ran.append(list(statements))
    assert ran[0] == ran[1] != []


def test_a_manager_is_asked_about_once_too(world: World, statements: list[str]) -> None:
    world.declare("Payments fail with 502", options="project:checkout")
    world.ask(world.dan, "whoami")  # who sees everything is known from here on
    for words in ("list", "list all", "view 1"):
        statements.clear()
        assert "#1 Payments fail" in world.ask(world.dan, words).text
        assert len(statements) == 1, statements
