"""Acme's workspace, with bots as processes of their own."""

from tests.slack.conftest import cast, serve, slack, store

__all__ = ["cast", "serve", "slack", "store"]
