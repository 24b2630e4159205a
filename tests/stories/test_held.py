"""No connection of a pool is held while Slack is asked: every story looks at that (`tests/held.py`), and this one that
it is looked at.
"""

from __future__ import annotations

from tests.stories.conftest import World


def test_a_call_with_a_connection_in_hand_is_seen(world: World, called_with_a_connection: list[str]) -> None:
    (installation,) = world.bot.listeners._clients.all()
    installation.client.auth_test()
    assert not called_with_a_connection
    with world.store.read():
        installation.client.auth_test()
    assert "auth.test" in called_with_a_connection.pop()
