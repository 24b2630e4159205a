"""An organization with much to tell, and replicas that tell it and die."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from bot.incidents import comments, lifecycle
from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from bot.incidents.lifecycle import Declaration
from sandbox import Person, Sandbox, SeenMessage
from storage.embedded import ROLE, as_superuser
from storage.engine import Store
from storage.migrate import migrate
from storage.url import normalise_url
from storage.values import Role, Status
from tests.clock import seconds_ahead, shadow_database_time
from tests.conftest import server_of
from tests.ending import wait_for_end
from tests.forking import ForkedProcess
from tests.long import LONG
from tests.stories.conftest import apply_file

ROOT = Path(__file__).parents[2]


@dataclass
class Company:
    """People who are all to be told of everything, in one channel's project."""

    slack: Sandbox
    store: Store
    people: list[Person]
    access: Access
    member_ids: list[int]
    outages: list[str] = field(default_factory=list)  # one for each incident
    # Each comment, by a word of it, with its author: everybody else must be told of it.
    told: dict[str, Person | None] = field(default_factory=dict)

    def comment(self, text: str) -> int:
        """A new incident and, on it, a comment that mentions everybody; gives the incident's number."""
        now = self.store.clock.now()
        mentions = "".join(f" <person:{id_}>" for id_ in self.member_ids)
        with self.store.write() as tx:
            incident = lifecycle.declare(
                tx, self.access, Declaration(f"Outage {text}", Status.OPEN, self.access.project_ids), now
            )
            written = CommentText(f"[{text}]{mentions}", frozenset(self.member_ids))
            comments.add(tx, self.access, incident.identifier, written, now)
        self.outages.append(text)
        self.told[text] = None
        return incident.identifier

    def remark(self, identifier: int, text: str) -> None:
        """Another comment on an incident, which everybody follows."""
        with self.store.write() as tx:
            comments.add(tx, self.access, identifier, CommentText(f"[{text}]"), self.store.clock.now())
        self.told[text] = None

    def card(self, text: str) -> SeenMessage:
        """The card of an incident."""
        return next(message for message in self.slack.messages("C0001") if f"Outage {text}\n" in message.text + "\n")

    def said(self, text: str) -> int:
        """How many comments there are with this word."""
        with self.store.read() as connection:
            return int(
                connection.exec_driver_sql(
                    "SELECT count(*) FROM incident_activity WHERE strpos(comment, %(text)s) > 0", {"text": f"[{text}]"}
                ).scalar_one()
            )

    def waiting(self) -> int:
        """How much is not delivered yet."""
        with self.store.read() as connection:
            return int(
                connection.exec_driver_sql(
                    "SELECT (SELECT count(*) FROM outbox)"
                    " + (SELECT count(*) FROM post WHERE wanted_version > drawn_version)"
                ).scalar_one()
            )

    def rest(self, seconds: float) -> None:
        """Waits until everything is delivered, as long as it goes on; so many seconds without a step are too many."""
        seen, deadline = self.progress(), time.monotonic() + seconds
        while left := self.waiting():
            if seen != (seen := self.progress()):
                deadline = time.monotonic() + seconds
            assert time.monotonic() < deadline, f"{left} messages are still not delivered"
            time.sleep(0.1)

    def progress(self) -> tuple[int, ...]:
        """What changes while something is expanded, sent or looked for."""
        with self.store.read() as connection:
            return tuple(
                connection.exec_driver_sql(
                    "SELECT (SELECT count(*) FROM outbox), sum(drawn_version), sum(attempts) FROM post"
                ).one()
            )

    def expect_everything_once(self) -> None:
        """Each comment was made once, and was sent once to each person but its author; each incident has one card, with
        the comments in its thread. Of the messages to a person about an incident only the last has buttons; it shows
        the latest comment, also to its author.
        """
        wrong = [f"{text} said {self.said(text)} times" for text in self.told if self.said(text) != 1]
        for person in self.people:
            seen: Counter[str] = Counter()
            for message in person.direct_messages():
                seen.update({text: message.text.count(f"[{text}]") for text in self.told})
            wrong += [
                f"{person.name}: {text} {seen[text]} times"
                for text, author in self.told.items()
                if seen[text] > 1 or (author is not person and not seen[text])
            ]
            wrong += [f"{person.name}: buttons of {text} {found}" for text, found in self._buttons(person).items()]
        messages = [message for message in self.slack.messages("C0001") if message.from_app]
        cards = Counter(
            text for message in messages for text in self.outages if f"Outage {text}\n" in message.text + "\n"
        )
        wrong += [f"card {text} {cards[text]} times" for text in self.outages if cards[text] != 1]
        mirrors = Counter(
            text for message in messages for reply in message.thread for text in self.told if f"[{text}]" in reply.text
        )
        wrong += [f"thread {text} {mirrors[text]} times" for text in self.told if mirrors[text] != 1]
        assert not wrong, f"{len(wrong)} wrong, such as {wrong[:5]}"

    def _buttons(self, person: Person) -> dict[str, list[bool]]:
        """By incident, which of the messages to a person have buttons, where it is not the last one alone."""
        found: dict[str, list[bool]] = {}
        for message in person.direct_messages():
            for text in self.outages:
                if f"Outage {text}" in re.findall(r"#\d+ (Outage \w+)", message.text) and not message.ephemeral:
                    found.setdefault(text, []).append(bool(message.buttons))
        return {text: shown for text, shown in found.items() if shown != [False] * (len(shown) - 1) + [True]}


def found_company(slack: Sandbox, store: Store, folder: Path, people: int, storm: str = "5, within: 60s") -> Company:
    """So many people, a project that all of them see, and its channel. `storm`: how many cards make one there."""
    persons = [
        slack.person(f"U1{number:03}", f"Person {number:03}", f"p{number}@acme.test") for number in range(people)
    ]
    slack.channel("C0001", "checkout")
    members = "\n".join(
        f"  - {{email: p{number}@acme.test, name: Person {number:03}, teams: [all]"
        # Half of them are found by what Slack says of them.
        + (f", slack: U1{number:03}}}" if number % 2 else "}")
        for number in range(people)
    )
    apply_file(
        store,
        folder,
        "organization: {slug: acme, name: Acme, workspaces: [T0001]}\n"
        "teams: [{slug: all, name: All}]\n"
        "projects: [{slug: checkout, name: Checkout, teams: [all], channels: [C0001],"
        f" storm: {{cards: {storm}}}}}]\n"
        f"members:\n  - {{email: boss@acme.test, name: The Boss, role: owner, teams: [all]}}\n{members}\n",
    )
    with store.read() as connection:
        rows = connection.exec_driver_sql("SELECT email, id FROM member").all()
        ids: dict[str, int] = {row[0]: row[1] for row in rows}
        organization_id, project_id = connection.exec_driver_sql("SELECT organization_id, id FROM project").one()
    access = Access(
        organization_id=organization_id,
        organization_name="Acme",
        workspace_id="T0001",
        member_id=ids.pop("boss@acme.test"),
        name="The Boss",
        email="boss@acme.test",
        role=Role.OWNER,
        superuser=False,
        team_ids=frozenset(),
        loaded_project_ids=(project_id,),
        sees_all=True,
        shared_channels=False,
        timezone="UTC",
    )
    return Company(slack, store, persons, access, sorted(ids.values()))


class Replicas:
    """Processes that deliver."""

    def __init__(self, slack: Sandbox, database_url: str) -> None:
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "SLACK_API_URL": slack.api_url,
            "SLACK_BOT_TOKEN": slack.bot_token,
        }
        self._environment.pop("SLACK_APP_TOKEN", None)
        self.running: list[ForkedProcess] = []
        self.killed = 0

    def start(self, count: int = 1, **more: str) -> None:
        """So many more, with `more` in their environment."""
        for _ in range(count):
            self.running.append(
                ForkedProcess(
                    "tests.delivery.worker",
                    cwd=ROOT,
                    env={**self._environment, **more},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE if not LONG else None,
                )
            )

    def wait_until_ready(self) -> None:
        """Until each of them delivers."""
        for process in self.running:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"

    def kill_one(self) -> None:
        """Any of them, without a word."""
        process = self.running.pop(random.randrange(len(self.running)))
        process.kill()
        self._reap(process)
        self.killed += 1

    def stop_one(self) -> int:
        """The first of them, with SIGTERM; gives its exit code."""
        process = self.running.pop(0)
        process.send_signal(signal.SIGTERM)

        def read_log() -> str:
            return process.stderr.read().decode() if process.stderr is not None else ""

        code = wait_for_end(process, read_log)
        self._reap(process)
        return code

    def end(self) -> None:
        """All of them."""
        for process in self.running:
            process.kill()
            self._reap(process)
        self.running.clear()

    @staticmethod
    def _reap(process: ForkedProcess) -> None:
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def slack() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox
        sandbox.expect_no_problems()


class DatabaseClock:
    """Sets the clock of a database whose time is shadowed by what a table holds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = create_engine(normalise_url(url), isolation_level="AUTOCOMMIT")

    def set_up(self) -> None:
        """In an empty database."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE clock (ahead interval NOT NULL)")
            connection.exec_driver_sql(f"INSERT INTO clock VALUES ({seconds_ahead()})")  # noqa: S608
        shadow_database_time(self._url, "(SELECT ahead FROM public.clock)")
        self._engine.dispose()

    def set(self, ahead_s: float) -> None:
        """So many seconds ahead of what it was at first."""
        with self._engine.connect() as connection:
            moved = f"UPDATE clock SET ahead = {seconds_ahead()} + make_interval(secs => %(s)s)"  # noqa: S608
            connection.exec_driver_sql(moved, {"s": ahead_s})

    def close(self) -> None:
        """Hangs up."""
        self._engine.dispose()


@pytest.fixture
def jumping(request: pytest.FixtureRequest) -> Iterator[tuple[str, DatabaseClock]]:
    """A migrated database and its clock."""
    server = make_url(server_of(request.config))
    url = server.set(database="jumping").render_as_string(hide_password=False)
    admin = create_engine(as_superuser(server), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE jumping OWNER {ROLE}")
    clock = DatabaseClock(url)
    clock.set_up()
    migrate(url)
    yield url, clock
    clock.close()
    with admin.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE jumping WITH (FORCE)")
    admin.dispose()


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def replicas(slack: Sandbox, database_url: str) -> Iterator[Replicas]:
    found = Replicas(slack, database_url)
    yield found
    found.end()
