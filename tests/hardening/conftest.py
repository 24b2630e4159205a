"""The rig of the fuzz and of the random walks, and how long they take.

`TOCSIN_FUZZ_EXAMPLES` is the number of cases in all; without it, as many as CI has patience for, the same each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from bot.log import configure
from bot.settings import LogFormat, LogLevel
from bot.slack.manifest import EVENTS, SCOPES
from sandbox import Sandbox
from storage.engine import Store
from tests.hardening.rig import Rig
from tests.stories.conftest import ORGANIZATION, STDERR, populate

LONG = int(os.environ.get("TOCSIN_FUZZ_EXAMPLES", "0"))


def cases(short: int, share: float) -> settings:
    """Settings for so many cases in CI, or for that share of a long run."""
    return settings(
        max_examples=max(1, round(LONG * share)) if LONG else short,
        derandomize=not LONG,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    """A bot whose delivery does not run: what it would send stays in the outbox."""
    configure(LogLevel.WARNING, LogFormat.JSON, stream=STDERR)
    store = Store.open(database_url)
    with Sandbox(scopes=SCOPES, subscriptions=EVENTS) as slack:
        populate(slack)
        found = Rig(slack, store, tmp_path)
        found.apply(ORGANIZATION)
        yield found
        found.close()
    store.close()
