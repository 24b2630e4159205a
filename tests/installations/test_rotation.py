"""Tokens end after twelve hours: they are refreshed before, by one process, and the others read them."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot.installations.registry import REFRESH_LEASE, InstallationRegistry
from bot.installations.tokens import TokenStore
from bot.slack.clients import Clients
from storage.models import Installation
from storage.queries import installations as queries
from tests.installations.conftest import KEYS, Cloud


def registry_of(cloud: Cloud) -> InstallationRegistry:
    assert cloud.bot.installations
    return cloud.bot.installations.registry


def advance(cloud: Cloud, hours: float) -> None:
    """Time passes, here and at Slack."""
    cloud.store.clock.offset += timedelta(hours=hours)
    cloud.first.clock.advance(hours * 3600)


def another(cloud: Cloud) -> tuple[InstallationRegistry, Clients]:
    """Another process on the same database."""
    clients = Clients()
    oauth = cloud.first.oauth
    registry = InstallationRegistry(
        cloud.store,
        clients,
        TokenStore(cloud.store, KEYS),
        api_url=cloud.first.api_url,
        client_id=oauth.client_id,
        client_secret=oauth.client_secret,
    )
    registry.read()
    return registry, clients


def refreshes(cloud: Cloud) -> int:
    return sum(call.get("grant_type") == "refresh_token" for call in cloud.first.calls("oauth.v2.access"))


def token(clients: Clients) -> str | None:
    found = clients.find("T0001")
    return found.client.token if found else None


@pytest.fixture
def installed(cloud: Cloud) -> Cloud:
    cloud.apply()
    cloud.install(cloud.first, cloud.cast.ben)
    return cloud


def test_the_bot_works_for_days(installed: Cloud) -> None:
    cloud = installed
    for day in range(1, 5):
        advance(cloud, 11)
        registry_of(cloud).refresh_tokens()
        registry_of(cloud).read()
        assert refreshes(cloud) == day
        assert "No open incidents" in cloud.ask(cloud.cast.ben, "list").text
        cloud.bot.clients.find("T0001").client.auth_test()  # type: ignore[union-attr]


def test_a_token_that_lasts_is_left_alone(installed: Cloud) -> None:
    advance(installed, 9)
    registry_of(installed).refresh_tokens()
    assert refreshes(installed) == 0


def test_one_process_refreshes_and_the_others_read(installed: Cloud) -> None:
    cloud = installed
    others = [another(cloud) for _ in range(4)]
    advance(cloud, 11)
    threads = [threading.Thread(target=one.refresh_tokens) for one, _ in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refreshes(cloud) == 1
    before = token(cloud.bot.clients)
    for registry, clients in [*others, (registry_of(cloud), cloud.bot.clients)]:
        registry.read()
        assert token(clients) not in (None, before)


def test_a_process_that_dies_before_it_stores_the_token_is_replaced(installed: Cloud) -> None:
    cloud = installed
    advance(cloud, 11)
    now = cloud.store.clock.now()
    with cloud.store.read() as connection:
        (lease,) = queries.lease_refreshes(connection, now + timedelta(hours=2), REFRESH_LEASE, now)
    lost = TokenStore(cloud.store, KEYS).open(lease.refresh_token_sealed)
    cloud.first.oauth.refresh(lost)  # Slack has answered, and nobody has heard it
    registry_of(cloud).refresh_tokens()
    assert refreshes(cloud) == 0, "it is leased"
    cloud.store.clock.offset += REFRESH_LEASE
    cloud.first.clock.advance(REFRESH_LEASE.total_seconds())
    registry_of(cloud).refresh_tokens()
    registry_of(cloud).read()
    assert refreshes(cloud) == 1
    cloud.bot.clients.find("T0001").client.auth_test()  # type: ignore[union-attr]


def test_slack_away_is_tried_again(installed: Cloud, capfd: pytest.CaptureFixture[str]) -> None:
    cloud = installed
    advance(cloud, 11)
    cloud.first.faults.cut("oauth.v2.access", performed=False)
    registry_of(cloud).refresh_tokens()
    assert "could not be refreshed yet" in "".join(capfd.readouterr())
    cloud.store.clock.offset += REFRESH_LEASE
    registry_of(cloud).refresh_tokens()
    with cloud.store.read() as connection:
        expires = connection.scalar(select(Installation.token_expires_at))
    assert expires and expires - cloud.store.clock.now() > timedelta(hours=11)


def test_a_refused_refresh_ends_the_installation_once_the_token_has_ended(
    installed: Cloud, capfd: pytest.CaptureFixture[str]
) -> None:
    cloud = installed
    advance(cloud, 11)
    cloud.first.faults.refuse("oauth.v2.access", "invalid_refresh_token", times=None)
    registry_of(cloud).refresh_tokens()
    registry_of(cloud).read()
    assert token(cloud.bot.clients) is not None, "it still works for an hour"
    assert '"ended": false' in "".join(capfd.readouterr())
    advance(cloud, 2)
    registry_of(cloud).refresh_tokens()
    registry_of(cloud).read()
    assert token(cloud.bot.clients) is None
    with cloud.store.read() as connection:
        assert connection.scalar(select(Installation.end_reason)) == "token_expired"


def test_a_new_installation_is_not_overwritten_by_a_refresh_of_the_one_before(installed: Cloud) -> None:
    cloud = installed
    advance(cloud, 11)
    now = cloud.store.clock.now()
    with cloud.store.read() as connection:
        (lease,) = queries.lease_refreshes(connection, now + timedelta(hours=2), REFRESH_LEASE, now)
    cloud.install(cloud.first, cloud.cast.ada)
    tokens = TokenStore(cloud.store, KEYS)
    with cloud.store.write() as tx:
        assert not queries.store_refreshed(tx, lease, tokens.seal("xoxe.late"), tokens.seal("xoxe-late"), now)
    registry_of(cloud).read()
    assert "No open incidents" in cloud.ask(cloud.cast.ben, "list").text


def test_a_refresh_in_flight_brings_no_removed_installation_back(installed: Cloud) -> None:
    cloud = installed
    advance(cloud, 11)
    now = cloud.store.clock.now()
    with cloud.store.read() as connection:
        (lease,) = queries.lease_refreshes(connection, now + timedelta(hours=2), REFRESH_LEASE, now)
    cloud.first.uninstall()
    cloud.settle()
    tokens = TokenStore(cloud.store, KEYS)
    with cloud.store.write() as tx:
        assert not queries.store_refreshed(tx, lease, tokens.seal("xoxe.late"), tokens.seal("xoxe-late"), now)
    registry_of(cloud).read()
    assert cloud.bot.clients.find("T0001") is None
    with cloud.store.read() as connection:
        assert connection.execute(select(Installation.token_sealed, Installation.refresh_token_sealed)).one() == (
            None,
            None,
        )
    assert "not connected" in cloud.ask(cloud.cast.ben, "list").text


def test_another_key_of_the_environment_stops_nothing_else(installed: Cloud, capfd: pytest.CaptureFixture[str]) -> None:
    cloud = installed
    clients = Clients()
    registry = InstallationRegistry(
        cloud.store,
        clients,
        TokenStore(cloud.store, "another-key-of-the-environment"),
        api_url=cloud.first.api_url,
        client_id="x",
        client_secret="y",
    )
    registry.read()
    assert clients.all() == []
    assert "cannot be decrypted with TOCSIN_SECRET_KEY" in "".join(capfd.readouterr())


def test_a_token_that_cannot_be_decrypted_is_the_fault_of_who_runs_the_bot(installed: Cloud) -> None:
    """The workspace is connected, so nobody is sent to an owner."""
    cloud = installed
    sealed = TokenStore(cloud.store, "another-key-of-the-environment").seal("xoxb-1")
    with cloud.store.write() as tx:
        tx.execute(update(Installation).values(token_sealed=sealed, version=Installation.version + 1))
    registry_of(cloud).read()
    for answer in (cloud.ask(cloud.cast.ben, "list"), cloud.ask(cloud.cast.ada, "ack 1")):
        assert "Tocsin is not set up correctly" in answer.text and "run_bot.py doctor" in answer.text
        assert "not connected" not in answer.text
    assert "no token can be decrypted with TOCSIN_SECRET_KEY" in (cloud.bot.slack_problem or "")
    assert cloud.install(cloud.first, cloud.cast.ben).status == 200
    assert "No open incidents" in cloud.ask(cloud.cast.ben, "list").text
    assert cloud.bot.slack_problem is None


def test_a_workspace_that_another_process_has_installed_is_found_at_its_first_request(installed: Cloud) -> None:
    cloud = installed
    cloud.bot.clients.replace({})
    registry_of(cloud)._versions = {}  # as in a process that has not looked yet
    assert "No open incidents" in cloud.ask(cloud.cast.ben, "list").text
