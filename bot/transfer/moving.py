"""Moves an organization from one cell to another, with everything that the bot has of it.

The order makes every interruption harmless, and the same command goes on from each:

1. The source records the move. From then on it refuses what people and alerts would change, and sends nothing. Reading
   goes on.
2. One transaction of the target takes everything, from one snapshot of the source, and compares it. Its commit is the
   moment of the move: before it the source is the organization's only cell, after it the target is.
3. The directories notice within seconds. Then the source deletes what it has.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import Enum, auto
from typing import IO

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import IntegrityError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from storage.audit_rows import Actor, AuditAction, AuditChange
from storage.engine import Store, create_pool, translate_errors
from storage.errors import Contended, DatabaseAway
from storage.queries import audit
from storage.queries import moving as queries
from storage.queries.moving import Tenant
from storage.queries.tokens import get_organization_slugs

# Until then a worker that serves a conversation has ended, or its lease has: `Pace.lease_s`.
QUIET_WITHIN_S = 60.0
# For as long, directories may go on asking the source.
NOTICED_WITHIN_S = 6.0
_POLL_S = 0.2
# A table that others use is waited for as briefly as in a migration, again and again.
_LOCKED_WITHIN_S = 120.0
_LOCK_TIMEOUT_MS = 500

Tick = Callable[[int], None]


class NotMovable(Exception):
    """An organization cannot be moved. The text says why."""


def render_unfinished(slug: str, cell: str) -> str:
    """Why an organization is not moved while another move of it is unfinished."""
    return f"its move to the cell {cell} is not finished; run `move {slug} {cell}` first, or that with --cancel"


def check_cells(stores: Mapping[str, Store | None], there: Mapping[str, int], slug: str, cell: str) -> None:
    """Refuses where what the cells have of an organization is not from this one move. `there`: its ids, by cell.

    Raises NotMovable, DatabaseAway.
    """
    for name, organization_id in there.items():
        store = stores[name]
        assert store is not None
        with store.read() as connection:
            goes_to = queries.find_move(connection, organization_id)
        if goes_to is not None and (name == cell or goes_to != cell):
            raise NotMovable(render_unfinished(slug, goes_to))
    sources = [name for name in there if name != cell]
    if len(sources) > 1:
        raise NotMovable(f"the cells {' and '.join(sources)} both have it")


class Stage(Enum):
    """How far a move is, for what to say when it ends early."""

    NOT_BEGUN = auto()  # or taken back
    REFUSING = auto()  # the source refuses changes, and sends nothing
    ARRIVED = auto()  # the target has the organization, and the source still has some of it
    FINISHED = auto()


class Move:
    """One organization on its way from one database to another."""

    def __init__(self, source: Store, target: Store, organization_id: int, slug: str, cell: str) -> None:
        """`cell` is the name of the target."""
        self._source = source
        self._target = target
        self._organization_id = organization_id
        self._slug = slug
        self._cell = cell
        self.stage = Stage.NOT_BEGUN

    def run(self, actor: Actor, *, from_cell: str, tick: Tick = lambda _: None) -> None:
        """Moves it, or goes on where an earlier call was interrupted. What fails before the commit is taken back.

        `tick` is called with 1 for each table that was copied. Raises NotMovable, DatabaseAway, Contended.
        """
        with self._alone():
            self._read_stage()
            self._check_role()
            if self.stage is not Stage.ARRIVED:
                try:
                    tenant = self._begin()
                    self._copy(tenant, actor, from_cell, tick)
                except DatabaseAway:
                    raise  # nobody knows whether the target has committed it
                except Exception:
                    if self.stage is Stage.REFUSING:
                        with suppress(NotMovable, DatabaseAway, Contended):
                            self._take_back()
                    raise
                self.stage = Stage.ARRIVED
                time.sleep(NOTICED_WITHIN_S)
            self._delete()
        self.stage = Stage.FINISHED

    def cancel(self) -> bool:
        """Has the organization stay. Returns False if it was not being moved. Raises NotMovable, DatabaseAway."""
        with self._alone():
            self._read_stage()
            if self.stage is Stage.NOT_BEGUN:
                return False
            self._check_role()
            if not self._take_back():
                raise NotMovable(
                    "everything is there already, so the move cannot be cancelled; run it again to finish it"
                )
        return True

    def _read_stage(self) -> None:
        """Finds how far an earlier call came. Raises NotMovable if one of the databases contradicts that.

        The organization has arrived only if the source has recorded its move to this target: else what the target has
        is something else, and what the source has may be all that there is.
        """
        with self._source.read() as connection:
            goes_to = queries.find_move(connection, self._organization_id)
        with self._target.read() as connection:
            there = get_organization_slugs(connection).get(self._slug)
            goes_on_to = queries.find_move(connection, self._organization_id)
        if goes_to not in (None, self._cell):
            raise NotMovable(render_unfinished(self._slug, goes_to))
        if goes_on_to is not None:
            raise NotMovable(render_unfinished(self._slug, goes_on_to))
        if there not in (None, self._organization_id):
            raise NotMovable(f"there is another organization {self._slug} in the cell {self._cell}")
        if there is not None and goes_to is None:
            raise NotMovable(f"the cell {self._cell} has it too, and no move has put it there")
        if goes_to is not None:
            self.stage = Stage.ARRIVED if there is not None else Stage.REFUSING

    def _check_role(self) -> None:
        with self._source.read() as connection:
            if not queries.owns_tables(connection):
                raise NotMovable("moving takes the role that owns the tables of the source")

    def _take_back(self) -> bool:
        """Has the source accept changes again. Returns False if the target has the organization, so it must not."""
        with self._source.read() as connection:
            tenant = queries.find_tenant(connection, self._organization_id)
        self._read_stage()
        if self.stage is Stage.ARRIVED:
            return False
        self._remove_fences()
        with self._open(self._source) as engine, translate_errors(), engine.begin() as tx:
            queries.resume(tx, tenant, self._source.clock.now())
            queries.allow_refreshes(tx, tenant)
            queries.end_move(tx, self._organization_id)
        self.stage = Stage.NOT_BEGUN
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuses while another process moves the organization. Raises NotMovable if both cells are one database."""
        with self._open(self._source) as engine, translate_errors(), engine.begin() as tx:
            if not queries.try_lock(tx, self._organization_id):
                raise NotMovable("another process is moving it now")
            with self._target.write() as other:
                # An advisory lock belongs to a database, whatever the address that leads there.
                if not queries.try_lock(other, self._organization_id):
                    raise NotMovable(
                        f"the cell {self._cell} is the database that it is in, under another address: mend TOCSIN_CELLS"
                    )
            yield

    # --- 1: the source refuses changes -----------------------------------------------------------------------------

    def _begin(self) -> Tenant:
        with self._source.read() as connection:
            tenant = queries.find_tenant(connection, self._organization_id)
            if shared := queries.find_shared_installation(connection, tenant):
                raise NotMovable(
                    f"its installation {shared} also serves workspaces of other organizations, whose cell has to be the"
                    " same"
                )
        with self._open(self._source) as engine:
            with translate_errors(), engine.begin() as tx:
                recorded = queries.begin_move(tx, self._organization_id, self._cell, self._source.clock.now())
                if recorded != self._cell:
                    raise NotMovable(render_unfinished(self._slug, recorded))
                self.stage = Stage.REFUSING
                queries.pause(tx, tenant, self._source.clock.now())
            self._wait(lambda: self._stop_refreshes(engine, tenant))
            self._wait(lambda: not self._is_sending(tenant))
            for fence in queries.list_fences(tenant):
                self._run_briefly(engine, fence)
        return tenant

    def _wait(self, holds: Callable[[], bool]) -> None:
        """Waits for what is under way. A lease of a process that has died ends within that time."""
        deadline = time.monotonic() + QUIET_WITHIN_S
        while not holds() and time.monotonic() < deadline:
            time.sleep(_POLL_S)

    def _stop_refreshes(self, engine: Engine, tenant: Tenant) -> bool:
        with translate_errors(), engine.begin() as tx:
            return queries.stop_refreshes(tx, tenant, self._source.clock.now())

    def _is_sending(self, tenant: Tenant) -> bool:
        """The target would have to search Slack for messages whose outcome is not recorded."""
        with self._source.read() as connection:
            return queries.is_sending(connection, tenant, self._source.clock.now())

    def _run_briefly(self, engine: Engine, work: Callable[[Connection], None]) -> None:
        """Runs DDL that others would have to wait behind."""
        trying = Retrying(
            retry=retry_if_exception_type(Contended),
            stop=stop_after_delay(_LOCKED_WITHIN_S),
            wait=wait_fixed(_POLL_S),
            reraise=True,
        )
        trying(self._run_once, engine, work)

    def _run_once(self, engine: Engine, work: Callable[[Connection], None]) -> None:
        with translate_errors(), engine.begin() as tx:
            tx.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            work(tx)

    def _remove_fences(self) -> None:
        with self._open(self._source) as engine:
            with engine.connect() as connection:
                statements = queries.list_fence_removals(connection, self._organization_id)
            for statement in statements:
                self._run_briefly(engine, lambda tx, statement=statement: tx.exec_driver_sql(statement))  # type: ignore[misc]

    # --- 2: the copy -------------------------------------------------------------------------------------------------

    def _copy(self, tenant: Tenant, actor: Actor, from_cell: str, tick: Tick) -> None:
        with (
            self._open(self._source) as source,
            self._open(self._target) as target,
            translate_errors(),
            source.connect() as connection,
            target.begin() as tx,
        ):
            reading = connection.execution_options(isolation_level="REPEATABLE READ")
            queries.make_room(tx, tenant)
            for table in queries.list_tables():
                try:
                    self._copy_table(reading, tx, table, tenant)
                except IntegrityError as error:
                    raise NotMovable(f"the cell {self._cell} already has something of the {table.name}") from error
                tick(1)
            queries.resume(tx, tenant, self._target.clock.now())
            change = AuditChange(
                AuditAction.ORGANIZATION_MOVE, self._cell, before={"cell": from_cell}, after={"cell": self._cell}
            )
            audit.record(tx, self._organization_id, actor, [change], self._target.clock.now())

    def _copy_table(self, reading: Connection, tx: Connection, table: Table, tenant: Tenant) -> None:
        _pass_on(
            lambda out: queries.write_copy(reading, table, tenant, out),
            lambda source: queries.read_copy(tx, table, source),
        )
        there = queries.compute_checksum(tx, table, tenant, at_source=False)
        here = queries.compute_checksum(reading, table, tenant, at_source=True)
        if here != there:
            counts = f"{here[0]:,} rows here and {there[0]:,} there"
            raise NotMovable(f"the copy of the table {table.name} differs, with {counts}")

    # --- 3: the end --------------------------------------------------------------------------------------------------

    def _delete(self) -> None:
        with self._target.read() as connection:
            tenant = queries.find_tenant(connection, self._organization_id)
        with self._source.read() as connection:  # a backup may have workspaces that have gone since
            others = queries.find_tenant(connection, self._organization_id).workspaces
        tenant = replace(tenant, workspaces=sorted({*tenant.workspaces, *others}))
        with self._open(self._source) as engine:
            for table in queries.list_emptied():
                while self._delete_batch(engine, table, tenant):
                    pass
            self._remove_fences()
            with translate_errors(), engine.begin() as tx:
                queries.delete_organization(tx, self._organization_id)

    def _delete_batch(self, engine: Engine, table: Table, tenant: Tenant) -> int:
        with translate_errors(), engine.begin() as tx:
            return queries.delete_batch(tx, table, tenant)

    @contextmanager
    def _open(self, store: Store) -> Iterator[Engine]:
        """Connections without time-outs, which what is moved does not refuse."""
        engine = create_pool(store.url, statement_timeout_ms=0, pooling=store.pooling, background=True)
        try:
            yield engine
        finally:
            engine.dispose()


def _pass_on(write: Callable[[IO[bytes]], object], read: Callable[[IO[bytes]], object]) -> None:
    """Has one thread write into a pipe what this one reads from it. Raises what either raises."""
    read_end, write_end = os.pipe()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with os.fdopen(write_end, "wb") as out:
                write(out)
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=work, name="copying")
    writer.start()
    try:
        with os.fdopen(read_end, "rb") as source:
            read(source)
    finally:
        writer.join()
    if failures:  # what was read was cut off
        raise failures[0]
