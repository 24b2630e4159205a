"""The world of the stories, for what is about the line to Slack rather than about responders."""

from __future__ import annotations

from tests.stories.conftest import slack, store, world

__all__ = ["slack", "store", "world"]
