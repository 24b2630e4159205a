"""The commands as a person types them: what they print where, and their exit codes."""

from __future__ import annotations

import inspect
import io
import re
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot import __version__
from bot.cli import COMMANDS, HOLD_COMMANDS, TOKEN_COMMANDS, Command, main
from bot.intake.tokens import token_hash
from bot.program import find_program
from bot.secret_box import SecretBox
from storage.engine import Store
from storage.models import IntakeToken
from tests.cli.test_settings import VARIABLES
from tests.ending import run_to_end
from tests.organization.test_file import ACME

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", str(database_url))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme.yaml").write_text(ACME, encoding="utf-8")


class Ran:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def sentence(self) -> str:
        """The one line of a refusal."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        return line


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def typed(*words: str) -> Ran:
        code = main(words)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Ran(code, captured.out, captured.err)

    return typed


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["nonsense"], "nonsense"),
        (["serv"], "serve"),
        (["--verbose"], "--verbose"),
        (["apply"], "file"),
        (["apply", "a.yaml", "b.yaml"], "b.yaml"),
        (["apply", "none.yaml"], "none.yaml"),
        (["token"], "command"),
        (["token", "create"], "organization"),
        (["token", "create", "--organization", "acme"], "source"),
        (["token", "create", "--organization", "acme", "--source", "nagios"], "nagios"),
        (["token", "create", "--organization", "none", "--source", "events"], "none"),
        (["token", "create", "--organization", "acme", "--project", "x", "--source", "events"], "--project"),
        (["token", "create", "--organization", "acme", "--source", "sentry"], "TOCSIN_SECRET_KEY"),
        (["token", "create", "--organization", "acme", "--source", "events", "--secret-stdin"], "--secret-stdin"),
        (["token", "revoke"], "ID"),
        (["token", "revoke", "one"], "'ID': 'one' is not a number."),
        (["token", "revoke", "999999"], "999999"),
        (["token", "revoke", "9" * 30], "ID"),
        (["demo", "--port", "70000"], "'--port': '70000' is not a number from 0 to 65535."),
        (["demo", "--port", "abc"], "'--port': 'abc' is not a number from 0 to 65535."),
        (["demo", "--prot", "1"], "run_bot.py demo --help"),
        (["serve"], "SLACK_BOT_TOKEN"),
        (["serve", "--role", "both"], "'web', 'worker'"),
        (["serve", "--workers", "0"], "'--workers': '0' is not a number from 1 to 64."),
        (["serve", "--group", "x"], "--group: only `serve --workers` gives this option"),
        (["serve", "--group", "998,999"], "--group: only `serve --workers` gives this option"),
        ([], "SLACK_APP_TOKEN"),
    ],
)
def test_a_mistake_is_one_line_on_stderr_and_exit_2(store: Store, run: Run, words: list[str], hint: str) -> None:
    assert run("apply", "acme.yaml").code == 0
    ran = run(*words)
    assert ran.code == 2
    assert hint in ran.sentence
    with store.read() as connection:
        assert connection.scalar(select(IntakeToken.id)) is None


def test_help_and_version_of_every_command_fit_a_terminal(run: Run) -> None:
    for words in (["-h"], ["--help"], ["demo", "-h"], ["serve", "-h"], ["token", "create", "-h"], ["token", "-h"]):
        ran = run(*words)
        assert ran.code == 0
        assert ran.out.startswith("Usage: run_bot.py")
        assert max(map(len, ran.out.splitlines())) <= 80
        assert not re.search(r"[\w,]\.\.\.", ran.out), "a summary that is cut"
    assert re.search(r"^  --reset  +Start again", run("demo", "-h").out, re.MULTILINE)
    for command in ("serve", "demo", "migrate", "apply", "token", "doctor", "manifest", "send-test", "test", "check"):
        assert re.search(rf"^  {command}  +[A-Z]", run("-h").out, re.MULTILINE), command
    for words in (["--version"], ["--version", "serve"]):
        assert run(*words).out == f"Tocsin {__version__}\n"


@pytest.mark.parametrize(
    ("started_as", "program"),
    [
        ("run_bot.py", "python3 run_bot.py"),
        ("/opt/tocsin/run_bot.py", "python3 run_bot.py"),
        ("/opt/tocsin/venv/bin/tocsin", "tocsin"),
        ("C:/tocsin/tocsin.exe", "tocsin"),
        ("/usr/lib/python3/bot/__main__.py", "python3 -m bot"),
        ("/usr/lib/python3/pytest/__main__.py", "python3 run_bot.py"),
    ],
)
def test_hints_name_the_program_as_it_was_started(started_as: str, program: str) -> None:
    assert find_program(started_as) == program


def test_serve_without_credentials_names_them_and_the_demo(run: Run) -> None:
    for words in ([], ["serve"]):
        sentence = run(*words).sentence
        for word in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "run_bot.py demo"):
            assert word in sentence


def test_a_worker_needs_the_bot_token_alone(run: Run) -> None:
    assert run("serve", "--role", "worker").sentence.startswith("Not set: SLACK_BOT_TOKEN. ")
    assert "SLACK_APP_TOKEN" in run("serve", "--role", "web").sentence


def test_a_wrong_setting_stops_every_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "many")
    for words in (["serve"], ["demo"], ["migrate"], ["apply", "acme.yaml"], ["token", "list"]):
        ran = run(*words)
        assert ran.code == 2
        assert ran.sentence.startswith("HTTP_PORT ")


@pytest.mark.parametrize("words", [["migrate"], ["apply", "acme.yaml"], ["token", "list"]])
def test_a_database_that_is_away_is_one_line_and_exit_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://tocsin:geheim@127.0.0.1:1/tocsin")
    ran = run(*words)
    assert ran.code == 1
    assert ran.sentence.startswith("DATABASE_URL: ")
    assert "127.0.0.1" in ran.sentence
    assert "geheim" not in ran.sentence


def test_help_says_what_there_is(run: Run) -> None:
    ran = run("--help")
    assert (ran.code, ran.err) == (0, "")
    for command in ("serve", "demo", "migrate", "apply", "token"):
        assert command in ran.out
    assert "--prune" in run("apply", "--help").out


@pytest.mark.parametrize("command", [*COMMANDS, *HOLD_COMMANDS, *TOKEN_COMMANDS], ids=lambda command: command.name)
def test_the_list_of_commands_says_of_each_what_its_own_help_says_first(command: Command) -> None:
    function = getattr(import_module(f"bot.commands.{command.module}"), command.function)
    assert command.summary == " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["--help"], {"sqlalchemy", "pydantic", "structlog", "slack_bolt", "fastapi"}),
        (["manifest"], {"sqlalchemy", "slack_bolt", "fastapi"}),
        (["token", "list", "--help"], {"slack_bolt", "fastapi", "matplotlib", "alembic", "cryptography"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_loads_only_what_it_needs(words: list[str], unneeded: set[str]) -> None:
    program = (
        "import sys; from bot.cli import main; code = main(sys.argv[1:]);"
        " print(*sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    ran = run_to_end(["-c", program, *words], env={"PYTHONPATH": str(ROOT)})
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stderr.split())
    assert "typer" in loaded
    assert not loaded & unneeded


@pytest.mark.usefixtures("store")
def test_migrate_says_what_it_did(run: Run) -> None:
    assert re.fullmatch(r"Nothing to do: the schema is at \w+\.\n", run("migrate").out)


def test_serve_that_is_told_to_stop_while_the_database_starts_ends_well(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = threading.Event()
    told.set()
    monkeypatch.setattr("bot.commands.serve.stop_on_signals", lambda _: nullcontext(told))
    monkeypatch.setattr("bot.commands.serve.load", lambda _: None)  # it sets the garbage collector of the process
    monkeypatch.delenv("DATABASE_URL")
    for name, value in {
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_APP_TOKEN": "xapp-1",
        "TOCSIN_DATA_DIR": str(tmp_path / "data"),
    }.items():
        monkeypatch.setenv(name, value)
    ran = run("serve")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("store")
def test_apply_prints_the_difference(run: Run) -> None:
    dry = run("apply", "acme.yaml", "--dry-run")
    assert dry.out.splitlines()[-1].endswith("Nothing was written: --dry-run.")
    first = run("apply", "acme.yaml")
    assert first.out.splitlines()[:-1] == dry.out.splitlines()[:-1]
    assert first.out.splitlines()[-1] == "acme: 5 added, 0 changed, 0 removed."
    assert run("apply", "acme.yaml").out == "Nothing to do: acme is as the file says.\n"
    Path("acme.yaml").write_text(ACME.replace("[C0001]", "[]"), encoding="utf-8")
    kept = run("apply", "acme.yaml").out.splitlines()
    assert kept[0].split() == ["kept", "project", "checkout:", "channel", "C0001"]
    assert "--prune" in kept[1]
    pruned = run("apply", "acme.yaml", "--prune").out.splitlines()
    assert pruned[0].split() == ["removed", "project", "checkout:", "channel", "C0001"]


@pytest.mark.usefixtures("store")
def test_a_wrong_file_tells_every_mistake_and_changes_nothing(run: Run) -> None:
    Path("bad.yaml").write_text(ACME.replace("owner", "boss").replace("C0001", "general"), encoding="utf-8")
    ran = run("apply", "bad.yaml")
    assert ran.code == 2
    assert [line.split(":")[:2] for line in ran.err.splitlines()] == [["bad.yaml", "11"], ["bad.yaml", "16"]]
    assert run("apply", "acme.yaml").out.startswith("added    organization acme")


@pytest.mark.usefixtures("store")
def test_a_file_that_takes_the_last_owner_is_refused(run: Run) -> None:
    run("apply", "acme.yaml")
    Path("bad.yaml").write_text(ACME.replace("role: owner", "role: manager"), encoding="utf-8")
    for options in ((), ("--dry-run",), ("--prune",)):
        ran = run("apply", "bad.yaml", *options)
        assert (ran.code, ran.out) == (2, "")
        assert "members[0].role: acme would have no owner without ada@acme.test;" in ran.err
    assert run("apply", "acme.yaml").out == "Nothing to do: acme is as the file says.\n"


def test_a_token_is_shown_once_and_kept_as_a_hash(store: Store, run: Run) -> None:
    run("apply", "acme.yaml")
    ran = run("token", "create", "--organization", "acme", "--project", "checkout", "--source", "events")
    token = ran.out.splitlines()[-1]
    assert re.fullmatch(r"tocsin_[A-Za-z0-9_-]{43}", token)
    assert token not in ran.err
    with store.read() as connection:
        row = connection.execute(select(IntakeToken)).one()
    assert row.token_hash == token_hash(token)
    assert token not in repr(row)
    listed = run("token", "list").out
    assert listed.splitlines()[1].split()[:4] == [str(row.id), "acme", "checkout", "events"]
    assert token not in listed


@pytest.mark.usefixtures("store")
def test_the_address_is_shown_where_the_public_one_is_known(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("apply", "acme.yaml")
    create = ("token", "create", "--organization", "acme", "--source", "events")
    assert "Alerts go to" not in run(*create).err
    monkeypatch.setenv("PUBLIC_URL", "https://tocsin.example.com/bot/")
    ran = run(*create)
    assert "Alerts go to https://tocsin.example.com/bot/intake/events\n" in ran.err
    assert ran.out.startswith("tocsin_")


def test_the_list_shows_when_a_token_was_last_used(store: Store, run: Run) -> None:
    run("apply", "acme.yaml")
    run("token", "create", "--organization", "acme", "--source", "grafana")
    assert "2031-04-05" not in run("token", "list").out
    with store.write() as tx:
        tx.execute(update(IntakeToken).values(last_used=datetime(2031, 4, 5, 6, 7, tzinfo=UTC)))
    assert "2031-04-05 06:07 UTC" in run("token", "list").out


def test_the_list_shows_why_the_last_delivery_was_refused(store: Store, run: Run) -> None:
    run("apply", "acme.yaml")
    run("token", "create", "--organization", "acme", "--source", "events")
    assert run("token", "list").out.splitlines()[1].endswith(" -")
    refused = {"last_refused": datetime(2031, 4, 5, 6, 7, tzinfo=UTC), "last_refusal": "project is the slug of none"}
    with store.write() as tx:
        tx.execute(update(IntakeToken).values(refused))
    assert run("token", "list").out.splitlines()[1].endswith("  2031-04-05 06:07 UTC: project is the slug of none")


def test_tokens_are_revoked_once_and_for_all(store: Store, run: Run) -> None:
    run("apply", "acme.yaml")
    run("token", "create", "--organization", "acme", "--source", "alertmanager")
    with store.read() as connection:
        token_id = str(connection.scalar(select(IntakeToken.id)))
    assert run("token", "revoke", token_id).code == 0
    with store.read() as connection:
        first = connection.scalar(select(IntakeToken.date_revoked))
    assert first is not None
    assert run("token", "revoke", token_id).code == 0
    with store.read() as connection:
        assert connection.scalar(select(IntakeToken.date_revoked)) == first
    assert run("token", "list").out.splitlines()[1].endswith("UTC  -")


def test_a_sentry_secret_is_read_from_stdin_and_kept_encrypted(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("apply", "acme.yaml")
    monkeypatch.setenv("TOCSIN_SECRET_KEY", "a key of the test only".replace(" ", "-"))
    words = ("token", "create", "--organization", "acme", "--project", "checkout", "--source", "sentry")
    assert "--secret-stdin" in run(*words).sentence
    for bad in ("", "two words", "x" * 2000, "schlüssel"):
        monkeypatch.setattr("sys.stdin", io.StringIO(bad))
        ran = run(*words, "--secret-stdin")
        assert (ran.code, ran.out) == (2, "")
    monkeypatch.setattr("sys.stdin", io.StringIO("c1ient5ecret\n"))
    ran = run(*words, "--secret-stdin")
    with store.read() as connection:
        row = connection.execute(select(IntakeToken)).one()
    assert ran.out.splitlines()[-1] == f"/intake/sentry/{row.id}"
    assert row.token_hash is None
    assert "c1ient5ecret" not in repr(row) + ran.out + ran.err
    assert SecretBox("a-key-of-the-test-only").open(row.secret_encrypted) == "c1ient5ecret"
