"""The world of the stories, for what is about the line to Slack rather than about responders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox import Sandbox
from storage.engine import Store
from tests.slack.serving import NOTHING_ELSE, Serve, Serving
from tests.stories.conftest import ORGANIZATION, Cast, apply_file, populate, slack, store, world

__all__ = ["slack", "store", "world"]


@pytest.fixture
def cast(slack: Sandbox, store: Store, tmp_path: Path) -> Cast:
    """Acme's people and channels, and its organization in the database."""
    found = populate(slack)
    apply_file(store, tmp_path, ORGANIZATION)
    return found


@pytest.fixture
def serve(slack: Sandbox, database_url: str, tmp_path: Path) -> Iterator[Serve]:
    """Starts the bot as a process of its own, as often as it is called; none of them outlives the test."""
    with ExitStack() as running:

        def start(
            *,
            over_http: bool = False,
            ready: bool = True,
            environment: Mapping[str, str] = NOTHING_ELSE,
            role: str = "all",
            words: Sequence[str] = (),
        ) -> Serving:
            process = Serving(
                slack,
                database_url,
                tmp_path,
                over_http=over_http,
                ready=ready,
                environment=environment,
                role=role,
                words=words,
            )
            running.callback(process.close)
            return process

        yield start
