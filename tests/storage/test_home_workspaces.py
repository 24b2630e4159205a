"""Which workspace a channel is looked for in, where the organization has disconnected one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from storage.engine import Store
from storage.queries.home_workspaces import claim_channel, find_home, list_homes_of_digests

# Slack has shown C1 in T1; C2 was only supposed there. T1 is disconnected, T2 is not.
_ROWS = """
INSERT INTO organization (slug, name) VALUES ('acme', 'Acme');
INSERT INTO workspace (id, organization_id, date_disconnected) SELECT 'T1', id, now() FROM organization;
INSERT INTO workspace (id, organization_id) SELECT 'T2', id FROM organization;
INSERT INTO destination (workspace_id, channel_id, date_checked) VALUES ('T1', 'C1', now()), ('T1', 'C2', NULL);
INSERT INTO member (organization_id, email, name) SELECT id, 'ada@acme.test', 'Ada' FROM organization;
INSERT INTO digest (organization_id, workspace_id, channel_id, owner_id, cron, zone, filters, next_fire_at, date_added)
SELECT organization_id, 'T2', 'C1', id, '0 9 * * *', 'UTC', 'open', now(), now() FROM member
"""


@pytest.fixture
def tx(store: Store) -> Iterator[Connection]:
    with store.write() as tx:
        tx.exec_driver_sql(_ROWS)
        yield tx


def test_what_was_only_supposed_to_be_in_a_disconnected_workspace_is_looked_for_elsewhere(tx: Connection) -> None:
    assert find_home(tx, "T2", channel_id="C2") == "T2"


def test_a_channel_of_a_disconnected_workspace_waits_for_it(tx: Connection) -> None:
    """It gets what it missed once the workspace is connected again; unless Slack shows it in another one."""
    assert find_home(tx, "T2", channel_id="C1") == "T1"
    tx.exec_driver_sql("INSERT INTO destination (workspace_id, channel_id) VALUES ('T2', 'C1')")
    assert find_home(tx, "T2", channel_id="C1") == "T2"


def test_a_digest_does_not_move_to_a_disconnected_workspace(tx: Connection) -> None:
    organization_id, digest_id = tx.exec_driver_sql("SELECT organization_id, id FROM digest").one()
    (home,) = list_homes_of_digests(tx, [organization_id], [digest_id]).values()
    assert (home.known, home.workspaces) == (None, ["T2"])


def test_a_channel_is_claimed_by_a_workspace_that_is_connected_alone(tx: Connection) -> None:
    claim_channel(tx, "T2", "C1")
    claim_channel(tx, "T1", "C1")
    assert find_home(tx, "T2", channel_id="C1") == "T2"
