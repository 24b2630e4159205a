"""Whether a failover of the database loses or repeats anything: `python -m benchmarks.failover`.

PostgreSQL runs under Patroni with etcd and HAProxy (`benchmarks.patroni`), two replicas of the bot on it, and people,
alerts and digests keep them busy. Then the primary goes: its machine dies, or Patroni switches over. A probe that does
nothing but connect and write says when the database is back. Exit code 1 if something was lost or repeated, or if the
bot was back more than five seconds after the database.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from benchmarks.patroni import Cluster
from sandbox import Sandbox
from sandbox.driver.person import Person
from sandbox.errors import SandboxError
from storage.engine import Store
from storage.migrate import migrate
from tests.slack.serving import Serving
from tests.slack.test_wrong_clocks import token as create_token
from tests.stories.conftest import ORGANIZATION, Cast, apply_file, populate

SERVE = ("-c", "import sys; from bot.cli import main; sys.exit(main(['serve']))")
BACK_WITHIN_S = 5.0
BEFORE_S, LONGEST_AWAY_S, AFTER_S = 10.0, 90.0, 15.0
RESTS_WITHIN_S = 400.0
INCIDENTS = 4
BUSY = """
SELECT EXISTS (SELECT FROM outbox) OR EXISTS (SELECT FROM post WHERE wanted_version > drawn_version)
  OR EXISTS (SELECT FROM digest_fire WHERE state IN ('due', 'posted'))
"""


class Load:
    """People and alerting systems that keep asking, and what they were answered."""

    def __init__(self, slack: Sandbox, cast: Cast, bots: list[Serving], headers: dict[str, str]) -> None:
        self._slack, self._cast, self._bots, self._headers = slack, cast, bots, headers
        self.outcomes: list[tuple[float, str, bool]] = []  # when, of what kind, whether it was taken
        self.comments: list[str] = []  # those that were taken
        self.alerts: list[str] = []
        self.digests = 0
        self._stop = threading.Event()
        self._threads = [
            *(threading.Thread(target=self._repeat, args=[0.7, self._comment, n]) for n in range(4)),
            *(threading.Thread(target=self._repeat, args=[2.0, self._alert, n]) for n in range(2)),
            threading.Thread(target=self._repeat, args=[5.0, self._digest, 0]),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, pause_s: float, one: Callable[[int, int], None], worker: int) -> None:
        count = 0
        while not self._stop.wait(pause_s):
            count += 1
            one(worker, count)

    def _ask(self, person: Person, kind: str, words: str) -> bool:
        try:
            text = person.command("/incident", words, channel=self._cast.random).text
        except SandboxError:  # nobody acknowledged it
            text = "database"
        taken = not any(word in text for word in ("database", "went wrong", "longer", "try again"))
        self.outcomes.append((time.monotonic(), kind, taken))
        return taken

    def _comment(self, worker: int, count: int) -> None:
        person = (self._cast.ada, self._cast.ben, self._cast.dan, self._cast.sue)[worker]
        words = f"note {worker}-{count} of the failover"
        if self._ask(person, "command", f"comment {1 + count % INCIDENTS} {words}"):
            self.comments.append(words)

    def _digest(self, _worker: int, _count: int) -> None:
        self.digests += self._ask(self._cast.ada, "digest", "digest now 1")

    def _alert(self, worker: int, count: int) -> None:
        """One alert, sent again until it is taken, by turns to both replicas."""
        key, severity = f"disk {worker}-{count}", "critical" if count % 4 == 0 else "warning"
        alert = {"dedup_key": key, "title": f"Full: {key}", "project": "checkout", "severity": severity}
        while not self._stop.is_set():
            bot = self._bots[(worker + count) % len(self._bots)]
            status = 0
            with contextlib.suppress(httpx.HTTPError):
                url = f"{bot.url}/intake/events"
                status = httpx.post(url, json=alert, headers=self._headers, timeout=10.0).status_code
            self.outcomes.append((time.monotonic(), "alert", status == 202))
            if status == 202:
                self.alerts.append(key)
                return
            self._stop.wait(0.5)


class Probe:
    """Connects and writes, again and again, and does nothing else."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.written: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS probe (at timestamptz)")
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            with contextlib.suppress(psycopg2.Error):
                connection = psycopg2.connect(self._url, connect_timeout=2, options="-c statement_timeout=2000")
                with closing(connection), connection, connection.cursor() as cursor:
                    cursor.execute("INSERT INTO probe VALUES (now())")
                self.written.append(time.monotonic())

    def wait_for_failover(self, since: float) -> float | None:
        """When the database was back: the end of the longest time without a write since then."""
        deadline = since + LONGEST_AWAY_S
        while time.monotonic() < deadline:
            time.sleep(0.2)
            written = [since, *(at for at in list(self.written) if at > since)]
            gap, back = max(((b - a, b) for a, b in itertools.pairwise(written)), default=(0.0, 0.0))
            if gap > 1.0 and written[-1] > back + 1.0:
                return back
        return None

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def main() -> int:
    """Runs it and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--how", choices=("machine", "switchover"), default="machine", help="how the primary goes")
    parser.add_argument("--hosts", action="store_true", help="the bot names both servers instead of HAProxy")
    chosen = parser.parse_args()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="failover-")))
        servers = running.enter_context(tempfile.TemporaryDirectory(prefix="failover-servers-"))
        cluster = running.enter_context(Cluster(Path(servers)))
        url = cluster.url_of_hosts if chosen.hosts else cluster.url
        migrate(url)
        slack = running.enter_context(Sandbox())
        store = running.enter_context(closing(Store.open(url, hung_after_s=None)))
        return _measure(cluster, url, slack, store, folder, chosen.how, running)


def _measure(
    cluster: Cluster, url: str, slack: Sandbox, store: Store, folder: Path, how: str, running: ExitStack
) -> int:
    cast = populate(slack)
    calling = "name: Payments, slack_usergroup: S0001"
    rows = ORGANIZATION.replace(calling, calling + ", calls: [{severity: critical, who: team, after: 0m}]")
    apply_file(store, folder, rows)
    headers = {"Authorization": f"Bearer {create_token(store)}"}
    bots = []
    for number in (1, 2):
        bot = Serving(slack, url, folder, over_http=False, ready=True, environment={}, role="all", command=SERVE)
        running.callback(bot.close)
        slack.wait_until_connected(number, 60.0)
        bots.append(bot)
    for number in range(1, INCIDENTS + 1):
        cast.ada.command("/incident", f"declare project:checkout Outage {number}", channel=cast.random)
    cast.ada.command("/incident", 'digest add "0 0 1 1 *" picture:no', channel=cast.checkout)
    load, probe = Load(slack, cast, bots, headers), Probe(url)
    load.start()
    time.sleep(BEFORE_S)
    primary = cluster.find_primary()
    assert primary is not None
    gone = time.monotonic()
    cluster.kill(primary) if how == "machine" else cluster.switch_over(primary)
    back = probe.wait_for_failover(gone)
    if back is None:
        load.stop()
        probe.stop()
        print("the database did not come back")
        return 1
    time.sleep(AFTER_S)
    load.stop()
    probe.stop()
    failed = [at for at, _, taken in load.outcomes if at > gone and not taken]
    first = {kind: min(at for at, one, taken in load.outcomes if one == kind and taken and at > back) for kind in KINDS}
    after_s = max([0.0, *(at - back for at in failed)])
    print(f"primary gone by {how}; the database was away for {back - gone:.1f} s")
    print(f"answers in all: {len(load.outcomes)}, refused meanwhile: {len(failed)}")
    print(f"last refusal {after_s:.1f} s after the database was back")
    print("first taken after it: " + ", ".join(f"{kind} {at - back:.1f} s" for kind, at in first.items()))
    wrong = _find_wrong(slack, store, load)
    restarted = [bot for bot in bots if bot.process.poll() is not None]
    wrong += [f"{len(restarted)} replicas ended"] if restarted else []
    wrong += [f"not back within {BACK_WITHIN_S:.0f} s"] if after_s > BACK_WITHIN_S else []
    errors = [line for bot in bots for line in bot.lines if line.get("level") in ("error", "critical")]
    wrong += [f"{len(errors)} errors in the log, the first: {errors[0].get('event')}"] if errors else []
    print("wrong: " + ("; ".join(wrong) or "nothing"))
    return 1 if wrong else 0


KINDS = ("command", "alert", "digest")


def _find_wrong(slack: Sandbox, store: Store, load: Load) -> list[str]:
    """Waits until everything is sent; says what was lost or repeated."""
    deadline = time.monotonic() + RESTS_WITHIN_S
    while _ask(store, BUSY)[0][0]:
        if time.monotonic() > deadline:
            return ["delivery does not come to rest"]
        time.sleep(0.5)
    comments = Counter(str(row[0]) for row in _ask(store, "SELECT comment FROM incident_activity WHERE type = 3"))
    alerts = Counter(str(row[0]) for row in _ask(store, "SELECT title FROM incident"))
    fires = _ask(store, "SELECT count(*) FROM digest_fire WHERE state = 'sent'")[0][0]
    posted = Counter(
        str(one.sent["metadata"])
        for one in slack.traffic
        if one.kind == "web_api" and one.name == "chat.postMessage" and one.sent.get("metadata")
        if (one.answer or {}).get("ok")
    )
    lost = [words for words in load.comments if not comments[words]]
    lost += [key for key in load.alerts if not alerts[f"Full: {key}"]]
    twice = [what for found in (comments, alerts, posted) for what, number in found.items() if number > 1]
    unsent = _ask(store, "SELECT count(*) FROM post WHERE failed_reason IS NOT NULL")[0][0]
    print(
        f"acknowledged: {len(load.comments)} comments, {len(load.alerts)} alerts, {load.digests} digests;"
        f" messages in Slack: {len(posted)}"
    )
    wrong = [f"{len(lost)} lost: {lost[:3]}"] if lost else []
    wrong += [f"{len(twice)} twice: {twice[:3]}"] if twice else []
    wrong += [f"{load.digests} digests acknowledged, {fires} sent"] if fires < load.digests else []
    wrong += [f"{unsent} messages given up"] if unsent else []
    return wrong


def _ask(store: Store, question: str) -> list[Any]:
    with store.read() as connection:
        return list(connection.exec_driver_sql(question).all())


if __name__ == "__main__":
    sys.exit(main())
