"""Which workspaces a process sends to: those that it has a client for and that accept messages."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import structlog

from bot.delivery import api_calls
from bot.delivery.api_calls import WorkspaceClient
from bot.delivery.pace import Pace
from storage.clock import Clock
from storage.queries import leases, pacing
from storage.queries.leases import AllBut, Only, Serving
from storage.reading import Reading

log = structlog.get_logger(__name__)

# So many workspaces are looked up one by one. A process that has more clients takes what is due in any workspace, and
# leaves out the few that it does not serve.
FEW = 16


class ServedWorkspaces:
    """The workspaces that a process serves. One thread uses it."""

    def __init__(self, clients: Mapping[str, WorkspaceClient], pace: Pace, clock: Clock, few: int = FEW) -> None:
        self._clients = clients
        self._pace = pace
        self._now = clock.now
        self._few = few
        self._without_client: frozenset[str] = frozenset()
        self._serving: AllBut | None = None
        self._read_at = float("-inf")  # on the monotonic clock

    @property
    def possible(self) -> Serving:
        """The workspaces to look for what is due in, as far as it is known; they may be paused."""
        if len(self._clients) > self._few:
            return self._serving or AllBut(())
        return Only(tuple(sorted(self._clients)))

    def find(self, reading: Reading) -> Serving | None:
        """Returns the workspaces to send to now; None if there are none. Raises DatabaseAway, Contended."""
        paused = self._find_paused(reading)
        if len(self._clients) > self._few:
            return self._leave_out(reading, paused)
        served = sorted(one for one in self._clients if one not in paused)
        return Only(tuple(served)) if served else None

    def _find_paused(self, reading: Reading) -> set[str]:
        """Finds the workspaces that accept no messages. A refused token is tested again from time to time."""
        paused = set()
        for workspace_id, (reason, seconds) in pacing.get_paused_workspaces(reading.connection, self._now()).items():
            client = self._clients.get(workspace_id)
            if client is None or workspace_id not in self._clients or seconds > 0:
                paused.add(workspace_id)
                continue
            reading.give_back()
            result = api_calls.read(client, "auth.test")
            if isinstance(result, api_calls.Taken):
                pacing.resume_workspace(reading.connection, workspace_id)
                log.info("the workspace takes messages again", workspace=workspace_id)
            else:
                pacing.pause_workspace(reading.connection, workspace_id, reason, self._pace.paused_s, self._now())
                paused.add(workspace_id)
        return paused

    def _leave_out(self, reading: Reading, paused: set[str]) -> AllBut:
        """Leaves out the paused workspaces and those without a client.

        What is due there stays due, perhaps for months, and is due the longest. So it is passed over once in
        `served_s` seconds, and until then each look begins where it ended.
        """
        here = time.monotonic()
        stale = here - self._read_at >= self._pace.served_s
        if stale:
            known = leases.list_workspaces(reading.connection)
            self._without_client = frozenset(one for one in known if one not in self._clients)
        left_out = tuple(sorted(self._without_client | paused))
        if (
            stale
            or self._serving is None
            or self._serving.workspaces != left_out
            or max(self._serving.since) > self._now()  # the clock was set back
        ):
            everything = AllBut(left_out)
            if left_out:
                since = leases.find_first_due(reading.connection, everything, self._now())
                everything = replace(everything, since=since)
            self._serving, self._read_at = everything, here
        return self._serving
