"""Whether a channel stays readable, and people are served, while alerts storm: `python -m benchmarks.storm`.

Two replicas of `serve` on one database, and a workspace with Slack's limits on. Alerts arrive for a minute, in one
channel; meanwhile somebody declares critical incidents and mentions a colleague in comments on them. The second run
kills a replica with SIGKILL three times, and Slack answers with 429 now and then.
"""

from __future__ import annotations

import argparse
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import text

from benchmarks import environment
from bot.intake.tokens import Source, new_token, token_hash
from bot.organization.apply import apply
from bot.organization.file import parse
from bot.slack.manifest import EVENTS, SCOPES
from sandbox import Person, Sandbox
from sandbox.records import Channel, Message
from storage.embedded import scratch_postgres
from storage.engine import Store
from storage.migrate import migrate
from storage.queries.tokens import insert_token

ALERTS, SECONDS, BATCH = 10_000, 60.0, 50
DECLARE_EVERY_S = 5.0
QUIET_S = 75.0  # after the last alert, within which the storm ends
KILLS_AT = (0.2, 0.45, 0.7)  # shares of the time
LIMITED_AT = (0.3, 0.6)
PATIENCE_S = 60.0
ORGANIZATION = """
organization: {slug: acme, name: Acme, workspaces: [T0001]}
teams: [{slug: payments, name: Payments}]
projects: [{slug: checkout, name: Checkout, teams: [payments], channels: [C0001]}]
members:
  - {email: ada@acme.test, name: Ada Obi, slack: U0001, role: owner, teams: [payments]}
  - {email: ben@acme.test, name: Ben Tal, slack: U0002, teams: [payments]}
"""

out = sys.stdout


@dataclass
class Replica:
    """A process of the bot, and where it takes alerts."""

    slack: Sandbox
    url: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it."""
        command = [sys.executable, "-m", "bot.cli", "serve"]
        self.process = subprocess.Popen(command, env=environment.of_bot(self.slack, self.url, self.port))

    def end(self, number: int = signal.SIGTERM) -> None:
        """Ends it with this signal."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)

    def is_ready(self) -> bool:
        """Whether it takes alerts."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=1).is_success
        except httpx.HTTPError:
            return False


@dataclass
class Seen:
    """What the workspace took: when each message arrived first, by its conversation."""

    messages: list[tuple[float, Message]] = field(default_factory=list)
    _known: set[tuple[str, str]] = field(default_factory=set)

    def watch(self, thing: object) -> None:
        """Takes a message in. A message is announced again when its thread gets a reply."""
        if not isinstance(thing, Message) or not thing.by_app or thing.ephemeral_to is not None:
            return
        if (thing.channel_id, thing.ts) not in self._known:
            self._known.add((thing.channel_id, thing.ts))
            self.messages.append((time.monotonic(), thing))

    def find(self, channel_id: str | None, words: str) -> float | None:
        """When the first message with these words arrived; in any conversation but the channel for None."""
        for at, message in list(self.messages):
            if (message.channel_id == channel_id or (channel_id is None and message.channel_id[0] == "D")) and (
                words in str(message.body.get("text"))
            ):
                return at
        return None


def run(alerts: int, seconds: float, *, trouble: bool) -> None:
    """One run, and its figures."""
    with ExitStack() as stack:
        url = stack.enter_context(scratch_postgres())
        migrate(url)
        store = Store.open(url)
        stack.callback(store.close)
        slack = stack.enter_context(Sandbox(scopes=SCOPES, subscriptions=EVENTS, acknowledge_seconds=30))
        ada = slack.person("U0001", "Ada Obi", "ada@acme.test")
        slack.person("U0002", "Ben Tal", "ben@acme.test")
        channel = slack.channel("C0001", "checkout")
        apply(store, parse(ORGANIZATION, "storm.yaml"), store.clock.now(), prune=False, dry_run=False)
        token = _create_token(store)
        seen = Seen()
        slack.platform.workspace.watchers.append(seen.watch)
        replicas = [Replica(slack, url, _find_port()) for _ in range(2)]
        for replica in replicas:
            replica.start()
            stack.callback(replica.end)
        _wait(lambda: all(one.is_ready() for one in replicas), "the replicas")
        slack.wait_until_connected(2, timeout=60)
        slack.limits.on()  # it allows one new socket a minute
        begun = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            sending = pool.submit(_send, replicas, token, alerts, seconds)
            asked = pool.submit(_declare, ada, channel, seconds, begun)
            if trouble:
                pool.submit(_make_trouble, slack, replicas[1], seconds, begun).result()
            sending.result()
            declared = asked.result()
        _report(store, slack, seen, channel, declared, alerts, seconds, begun)


def _find_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _create_token(store: Store) -> str:
    token = new_token()
    with store.write() as tx:
        organization_id, project_id = tx.execute(text("SELECT organization_id, id FROM project")).one()
        insert_token(
            tx,
            organization_id=organization_id,
            project_id=project_id,
            source=Source.EVENTS,
            token_hash=token_hash(token),
            secret_encrypted=None,
            now=store.clock.now(),
        )
    return token


def _wait(condition: Any, what: str, seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


def _send(replicas: list[Replica], token: str, alerts: int, seconds: float) -> None:
    """Sends the alerts in batches, evenly; one that is refused or lost goes to the other replica."""
    begun = time.monotonic()
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for first in range(0, alerts, BATCH):
            batch = [
                {
                    "dedup_key": f"host-{number}",
                    "title": f"Host {number} is down",
                    "severity": "critical" if number % 100 == 99 else "warning",
                    "labels": {"alertname": "HostDown", "zone": "eu-1", "host": f"web-{number}"},
                }
                for number in range(first, min(first + BATCH, alerts))
            ]
            time.sleep(max(0.0, begun + seconds * first / alerts - time.monotonic()))
            for attempt in range(200):
                replica = replicas[attempt % 2]
                try:
                    answer = client.post(f"http://127.0.0.1:{replica.port}/intake/events", json=batch)
                except httpx.HTTPError:
                    time.sleep(0.1)
                    continue
                if answer.status_code == 202:
                    break
                time.sleep(0.2)
            else:
                raise SystemExit("alerts were not taken")


def _declare(ada: Person, channel: Channel, seconds: float, begun: float) -> list[tuple[str, float, float]]:
    """Declares and comments again and again: the words, and when each was acknowledged."""
    declared = []
    number = 0
    while time.monotonic() < begun + seconds:
        number += 1
        answer = _ask(ada, channel, f"declare critical project:checkout Person{number}.")
        at = time.monotonic()
        identifier = re.findall(r"#(\d+)", answer)[0]
        _ask(ada, channel, f"comment {identifier} @ben word{number}.")
        declared.append((f"{number}.", at, time.monotonic()))
        time.sleep(max(0.0, begun + number * DECLARE_EVERY_S - time.monotonic()))
    return declared


def _ask(ada: Person, channel: Channel, words: str) -> str:
    for _ in range(20):
        try:
            answer = ada.command("/incident", words, channel=channel).text
        except Exception:  # the replica that had the command was killed
            answer = ""
        if "#" in answer:
            return answer
        time.sleep(0.1)
    raise SystemExit(f"no answer to {words}: {answer}")


def _make_trouble(slack: Sandbox, replica: Replica, seconds: float, begun: float) -> None:
    """Kills the replica, and has Slack ask for a pause, at their times."""
    events = sorted([*((share, "kill") for share in KILLS_AT), *((share, "limit") for share in LIMITED_AT)])
    for share, what in events:
        time.sleep(max(0.0, begun + seconds * share - time.monotonic()))
        if what == "limit":
            slack.faults.rate_limit("chat.postMessage", retry_after=1, times=2)
            slack.faults.rate_limit("chat.update", retry_after=1, times=2)
        else:
            replica.end(signal.SIGKILL)
            replica.start()


def _report(
    store: Store,
    slack: Sandbox,
    seen: Seen,
    channel: Channel,
    declared: list[tuple[str, float, float]],
    alerts: int,
    seconds: float,
    begun: float,
) -> None:
    def storms() -> list[str]:
        shown = [one for one in slack.messages(channel) if one.from_app and "storm" in one.notification]
        return [one.text for one in shown]

    total = f"{alerts:,} "
    _wait(lambda: any(total in one for one in storms()), "all alerts in the storm's message")
    shown_after = time.monotonic() - begun - seconds
    _wait(lambda: any("is over" in one for one in storms()), "the end of the storm", QUIET_S)
    cards = [(seen.find("C0001", f"Person{words}") or float("inf")) - at for words, at, _ in declared]
    direct = [(seen.find(None, f"word{words}") or float("inf")) - at for words, _, at in declared]
    in_time = [one for at, one in seen.messages if one.channel_id == "C0001" and at <= begun + seconds]
    with store.read() as connection:
        incidents = connection.scalar(text("SELECT count(*) FROM incident WHERE source IS NOT NULL"))
    _print_row("alerts that are incidents", f"{incidents:,} of {alerts:,}")
    _print_row("messages in the channel in that time, with those in threads", str(len(in_time)))
    _print_row("messages of storms", str(len(storms())))
    _print_row("the storm's message had counted all", f"{shown_after:.1f} s after the last alert")
    _print_row(f"declared: card in the channel, worst of {len(cards)}", f"{max(cards):.2f} s")
    _print_row("commented: direct message, worst", f"{max(direct):.2f} s")
    _print_row("at its end", storms()[0].splitlines()[0])
    slack.problems.clear()


def _print_row(what: str, figure: str) -> None:
    out.write(f"| {what} | {figure} |\n")
    out.flush()


def main() -> None:
    """Prints the figures of both runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=ALERTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--run", choices=["calm", "trouble"], help="only this one of the two")
    chosen = parser.parse_args()
    for name in ("calm", "trouble"):
        if chosen.run in (None, name):
            out.write(f"\n| {'kill -9 and 429s' if name == 'trouble' else 'no trouble'} | |\n|---|---|\n")
            run(chosen.alerts, chosen.seconds, trouble=name == "trouble")


if __name__ == "__main__":
    main()
