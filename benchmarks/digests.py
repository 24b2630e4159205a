"""What digests cost: composing one, and ten thousand that are due at once: `python -m benchmarks.digests`.

Composing is measured in an organization with many incidents, against statements that count and fetch the same with
nobody's rights in mind. The ten thousand are published by two replicas, processes of their own, against inserting as
many posts in transactions of their own. `--folder` stores the database for the next run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from time import perf_counter, sleep

import psycopg2
from slack_bolt.authorization import AuthorizeResult
from sqlalchemy import event, make_url

from benchmarks import seed, table
from benchmarks.commands import fill
from benchmarks.table import Row
from bot.digests import content, picture
from bot.digests.summary import summarize
from bot.digests.workers import DigestWorkers
from bot.log import configure
from bot.messages import digest as messages
from bot.people.identity import Identity
from bot.settings import LogFormat, LogLevel
from bot.slack.background import Background
from bot.slack.clients import Clients, Installation, web_client
from bot.slack.slack_clock import SlackClock
from bot.work import WorkSignals
from storage.digest_rows import DigestRow
from storage.embedded import EmbeddedPostgres
from storage.engine import Store, create_pool
from storage.queries import digests as queries
from storage.session_settings import STATEMENT_TIMEOUT_MS
from tests.clock import FixedClock

NOW = datetime(2026, 11, 1, tzinfo=UTC)  # of the seeded incidents
SINCE = datetime(2026, 10, 31, tzinfo=UTC)
OPEN = (100_000, 5_000, 500, 50)  # descending: each round resolves more
REPLICAS = 2
CHANNELS = 500
WORKSPACE = "T0001"


def main() -> None:
    """Runs everything and prints the tables, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=1_000_000)
    parser.add_argument("--digests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20, help="digests measured for each figure")
    parser.add_argument("--folder", type=Path, help="where the database is kept for another run")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, EmbeddedPostgres(chosen.folder or Path(scratch) / "db") as server:
        url = fill(server, chosen.incidents)
        _compose(url, chosen.incidents, chosen.rounds)
        _all_at_once(url, chosen.digests)


# --- composing ---------------------------------------------------------------------------------------------


def _compose(url: str, incidents: int, rounds: int) -> None:
    print(f"\n### A digest in an organization with {incidents:,} incidents\n")
    print("| open | statements | slowest ms | ms p50 | with the picture's numbers | floor ms p50 | ratio |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    store = Store.open(url, clock=FixedClock(NOW))
    for count in OPEN:
        if count > incidents // seed.OPEN_ONE_IN:
            continue  # there are not so many
        _leave_open(url, count)
        digest = _digest(store)
        with _counted(store) as statements:
            page = _compose_and_render(store, digest, with_series=True)
        composed = _p50(rounds, lambda digest=digest: _compose_and_render(store, digest, with_series=False))  # type: ignore[misc]
        whole = _p50(rounds, lambda digest=digest: _compose_and_render(store, digest, with_series=True))  # type: ignore[misc]
        floors = _floor(url, page, rounds)
        floor = statistics.median(floors)
        print(
            f"| {count:,} | {len(statements)} | {max(statements):.0f} | {composed:.1f} | {whole:.1f} | {floor:.1f}"
            f" | {composed / floor:.2f} |"
        )
        name, varied = f"a digest, {count:,} open of {incidents:,}", table.measure_variation(floors)
        table.record(
            Row(name, "ms", composed, floor, varied),
            Row(f"{name}: slowest statement, with a picture", "ms", max(statements), wanted=STATEMENT_TIMEOUT_MS / 2),
        )
    with store.read() as connection:
        access = content.get_owner_access(connection, digest)
        scope = content.resolve_digest_scope(connection, access, digest, NOW)
        counts = content.load_daily_counts(connection, scope, digest.zone, NOW)
    first = _p50(1, lambda: picture.render_picture(counts))
    again = _p50(rounds, lambda: picture.render_picture(counts))
    print(f"\nDrawing the picture: {first:,.0f} ms the first time, with loading matplotlib; then {again:,.0f} ms.")
    store.close()


def _leave_open(url: str, count: int) -> None:
    """Resolves all incidents but the newest so many of those that are open."""
    engine = create_pool(url, statement_timeout_ms=0, autocommit=True)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "WITH old AS (SELECT id FROM incident WHERE status <> 2 ORDER BY date_started DESC OFFSET %(count)s),"
            " links AS (UPDATE incident_project SET status = 2 WHERE incident_id IN (SELECT id FROM old))"
            " UPDATE incident SET status_before_closing = status, status = 2,"
            " date_closed = date_started + interval '1 hour' WHERE id IN (SELECT id FROM old)",
            {"count": count},
        )
        connection.exec_driver_sql("VACUUM ANALYZE incident, incident_project")
    engine.dispose()


def _digest(store: Store, *, channel: str = "C0001") -> DigestRow:
    """A digest of a manager's, of everything."""
    with store.write() as tx:
        organization_id, owner_id = tx.exec_driver_sql(
            "SELECT organization_id, id FROM member WHERE role = 'manager'"
        ).one()
        digest_id = queries.insert_digest(
            tx,
            {
                "organization_id": organization_id,
                "workspace_id": WORKSPACE,
                "channel_id": channel,
                "owner_id": owner_id,
                "cron": "0 9 * * *",
                "zone": "UTC",
                "filters": "open",
                "next_fire_at": datetime(2027, 1, 1, tzinfo=UTC),
                "date_added": NOW,
            },
        )
        found = queries.find_digest(tx, organization_id, digest_id)
        assert found is not None
        return found


def _compose_and_render(store: Store, digest: DigestRow, *, with_series: bool) -> list[int]:
    """Composes and renders the digest as a fire does. Returns the ids of the incidents on its page."""
    with store.read() as connection:
        access = content.get_owner_access(connection, digest)
        scope = content.resolve_digest_scope(connection, access, digest, NOW)
        loaded = content.load_content(connection, scope, digest, since=SINCE, as_of=NOW)
        if with_series:
            content.load_daily_counts(connection, scope, digest.zone, NOW)
    messages.render_digest(loaded, summarize(digest), fire_id=1)
    return [line.id for line in loaded.page.lines]


@contextmanager
def _counted(store: Store) -> Iterator[list[float]]:
    """Milliseconds of each statement that reading runs; those that are prepared go past SQLAlchemy and are left out."""
    took: list[float] = []
    begun: list[float] = []

    def begin(*_: object) -> None:
        begun.append(perf_counter())

    def end(*_: object) -> None:
        took.append((perf_counter() - begun.pop()) * 1000)

    with store.read() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", begin)
    event.listen(engine, "after_cursor_execute", end)
    yield took
    event.remove(engine, "before_cursor_execute", begin)
    event.remove(engine, "after_cursor_execute", end)


# What a digest of everything counts and shows, each as plainly as it can be asked.
_FLOOR = (
    """SELECT status, count(*), min(date_started),
         count(*) FILTER (WHERE NOT EXISTS (SELECT FROM incident_seen s WHERE s.incident_id = i.id))
       FROM incident i WHERE organization_id = %(organization_id)s AND status <> 2 GROUP BY status""",
    "SELECT * FROM incident WHERE id = ANY(%(page)s)",
    """SELECT count(*) FROM incident_activity
       WHERE organization_id = %(organization_id)s AND type = 1 AND date_added > %(since)s""",
    """SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY date_closed - date_started) FROM incident
       WHERE organization_id = %(organization_id)s AND status = 2 AND date_closed > %(since)s""",
)


def _floor(url: str, page: list[int], rounds: int) -> list[float]:
    """Milliseconds of each round of the same counts and the same page by psycopg2."""
    connection = psycopg2.connect(_dsn(url))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM organization")
        (organization_id,) = cursor.fetchone() or (None,)
        parameters = {"organization_id": organization_id, "page": page, "since": SINCE}

        def fetch() -> None:
            for statement in _FLOOR:
                cursor.execute(statement, parameters)
                cursor.fetchall()

        found = _time(rounds, fetch)
    connection.close()
    return found


def _p50(rounds: int, work: Callable[[], object]) -> float:
    """Milliseconds that it takes in the middle of so many rounds."""
    return statistics.median(_time(rounds, work))


def _time(rounds: int, work: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(rounds):
        start = perf_counter()
        work()
        times.append((perf_counter() - start) * 1000)
    return times


def _dsn(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


# --- all at once -------------------------------------------------------------------------------------------


def _all_at_once(url: str, count: int) -> None:
    print(f"\n### {count:,} digests due in the same minute, {REPLICAS} replicas, {OPEN[-1]} open incidents\n")
    store = Store.open(url, clock=FixedClock(NOW))
    _digest(store)
    with store.write() as tx:
        tx.exec_driver_sql("DELETE FROM post WHERE kind = 'digest'")
        tx.exec_driver_sql("DELETE FROM digest WHERE id NOT IN (SELECT max(id) FROM digest)")
        tx.exec_driver_sql(
            "INSERT INTO digest (organization_id, workspace_id, channel_id, owner_id, cron, zone, filters, picture,"
            " next_fire_at, date_added)"
            " SELECT organization_id, workspace_id, 'C' || n %% %(channels)s, owner_id, cron, zone, filters, false,"
            " %(now)s, %(now)s FROM digest, generate_series(1, %(count)s) n",
            {"channels": CHANNELS, "count": count, "now": NOW},
        )
    written, handed_over = _publish(url, store, count)
    floor = _inserted(url, count)
    with store.read() as connection:
        fires, posts, keys = connection.exec_driver_sql(
            "SELECT (SELECT count(*) FROM digest_fire WHERE fire_at = %(now)s), count(*), count(DISTINCT key)"
            " FROM post WHERE key LIKE 'digest:%%'",
            {"now": NOW},
        ).one()
    store.close()
    table.record(Row(f"{count:,} digests due at once, {REPLICAS} replicas", "s", handed_over, floor, wanted=10.0))
    print("| | s | ratio to the floor |\n|---|---:|---:|")
    print(f"| until every fire is stored and every digest has its next time | {written:.1f} | {written / floor:.2f} |")
    print(f"| until the last message is rendered and queued | {handed_over:.1f} | {handed_over / floor:.1f} |")
    print(f"| floor: as many posts, a transaction each | {floor:.1f} | |")
    print(f"\nFires: {fires:,}; posts: {posts:,}, of {keys:,} different fires.")


def _publish(url: str, store: Store, count: int) -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(REPLICAS + 1)
    replicas = [context.Process(target=_replica, args=(url, ready), daemon=True) for _ in range(REPLICAS)]
    for replica in replicas:
        replica.start()
    ready.wait()
    start = perf_counter()
    written = _seconds_until(store, "SELECT count(*) FROM digest_fire WHERE fire_at = %(now)s", count, start)
    handed_over = _seconds_until(store, "SELECT count(*) FROM post WHERE key LIKE 'digest:%%'", count, start)
    for replica in replicas:
        replica.kill()
        replica.join()
    return written, handed_over


def _replica(url: str, ready: Barrier) -> None:
    """A replica that tells digests; what is with delivery stays there."""
    configure(LogLevel.WARNING, LogFormat.JSON)  # ten thousand lines of success would be measured too
    store = Store.open(url, clock=FixedClock(NOW))
    api_url = "http://127.0.0.1:9"  # nobody is there, and nobody is called: no picture, and an owner from the file
    authorization = AuthorizeResult(enterprise_id=None, team_id=WORKSPACE)
    clients = Clients([Installation(WORKSPACE, "U0B07", None, web_client(api_url), authorization, SlackClock())])
    identity = Identity(store, clients, Background(api_url))
    digests = DigestWorkers(store, clients, identity, WorkSignals(), command="/incident")
    ready.wait()
    digests.tick()
    digests.start()
    sleep(3600)


def _seconds_until(store: Store, counting: str, count: int, start: float) -> float:
    while True:
        with store.read() as connection:
            found = connection.exec_driver_sql(counting, {"now": NOW}).scalar_one()
        if found >= count:
            return perf_counter() - start
        sleep(0.05)


def _inserted(url: str, count: int) -> float:
    """Seconds that as many processes take to insert as many posts, each in a transaction of its own."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(REPLICAS + 1)
    share = count // REPLICAS
    writers = [context.Process(target=_insert, args=(_dsn(url), share, ready)) for _ in range(REPLICAS)]
    for writer in writers:
        writer.start()
    ready.wait()
    start = perf_counter()
    for writer in writers:
        writer.join()
    return perf_counter() - start


def _insert(dsn: str, count: int, ready: Barrier) -> None:
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(id) FROM destination")
        (destination_id,) = cursor.fetchone() or (None,)
        ready.wait()
        for _ in range(count):
            cursor.execute(
                "INSERT INTO post (destination_id, kind, message) VALUES (%s, 'digest', '{\"text\": \"floor\"}')",
                (destination_id,),
            )


if __name__ == "__main__":
    main()
