"""`serve --workers`: several processes that look like one."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import ProcessCollector
from structlog.testing import capture_logs

from bot.cli import main
from bot.process_metrics import ProcessMetrics
from bot.processes import supervisor
from bot.processes.channel import NoAnswer, Questions, answer_questions
from bot.processes.member import Member
from bot.processes.merged_metrics import build_metrics, find_rule, keep_counts, list_families, merge
from bot.processes.supervisor import check_workers
from bot.settings import Role, Settings, SettingsError
from sandbox import Sandbox
from storage.engine import Store
from tests.cli.test_settings import VARIABLES
from tests.patience import PATIENCE_S
from tests.slack.serving import Serve, Serving
from tests.slack.test_metrics import value
from tests.stories.conftest import Cast

LISTED = {"verb": "list", "result": "ok"}


def test_two_processes_answer_on_one_port_and_each_may_die(
    slack: Sandbox, cast: Cast, store: Store, serve: Serve
) -> None:
    bot = serve(over_http=True, words=("--workers", "2"))
    assert bot.wait_for("all processes are ready")["processes"] == ["web-1", "web-2", "worker"]
    assert {line["port"] for line in bot.said("serving HTTP")} == {int(bot.url.rpartition(":")[2])}
    ready = httpx.get(f"{bot.url}/readyz", timeout=PATIENCE_S)
    assert ready.json() == {"status": "ok", "database": "ok", "schema": "ok", "processes": "ok", "slack": "ok"}

    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
    cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail", timeout=PATIENCE_S)
    pids = {str(line["process"]): int(str(line["pid"])) for line in bot.said("a process has been started")}
    slack.settle(PATIENCE_S)
    stop(pids["web-2"])
    try:
        assert "#1 Payments fail" in cast.ada.command("/incident", "list", channel=cast.random).text
    finally:
        os.kill(pids["web-2"], signal.SIGCONT)
    assert value(bot, "tocsin_commands_total", **LISTED) == 1
    for name in ("web-1", "worker"):
        os.kill(pids[name], signal.SIGKILL)
        died = bot.wait_for("a process has died, and is started again", process=name)
        assert died["exit_code"] == -signal.SIGKILL
    # The other one goes on answering, what the dead one had counted stays in the sum, and what it left is sent.
    cast.ada.command("/incident", "resolve 1", channel=cast.random)
    assert "#1" not in cast.ada.command("/incident", "list", channel=cast.random).text
    assert value(bot, "tocsin_commands_total", **LISTED) == 2
    bot.wait_for_several(5, "ready")
    card = cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail", timeout=PATIENCE_S)
    card.wait_for(lambda shown: "Resolved" in shown.markup, timeout=PATIENCE_S)

    stop_while_asked(slack, cast, bot)
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM replica").scalar_one() == 2  # those that were killed


def stop(pid: int) -> None:
    """Stops a process. On a busy machine its threads go on for a while after the signal has been sent."""
    os.kill(pid, signal.SIGSTOP)
    status, deadline = Path(f"/proc/{pid}/status"), time.monotonic() + PATIENCE_S
    while status.exists() and "State:\tT" not in status.read_text():
        assert time.monotonic() < deadline


def stop_while_asked(slack: Sandbox, cast: Cast, bot: Serving) -> None:
    """SIGTERM while both processes hold requests: each is answered."""
    strangers = [slack.person(f"U10{n}", f"Stranger {n}", f"{n}@elsewhere.test") for n in range(8)]
    slack.faults.slow("users.info", 1.0, times=None)
    before = len(slack.calls("users.info"))
    with ThreadPoolExecutor(8) as many:
        asked = [many.submit(one.command, "/incident", "list", channel=cast.random) for one in strangers]
        slack.wait_until(lambda: len(slack.calls("users.info")) >= before + 8, PATIENCE_S, "requests under way")
        bot.process.send_signal(signal.SIGTERM)
        assert all("not a member" in one.result().text for one in asked)
    assert bot.end() == 0
    assert len(bot.said("stopped")) == 3


def test_a_process_that_cannot_start_ends_all_with_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", ("-c", "import sys; sys.exit(2)"))
    settings = Settings(http_port=0)
    with capture_logs() as lines:
        assert supervisor.supervise(settings, os.environ, Role.ALL, 2, threading.Event()) == 2
    assert {line["exit_code"] for line in lines if "could not start" in line["event"]} == {2}
    assert not [line for line in lines if "started again" in line["event"]]


def test_a_process_that_hangs_while_it_stops_is_told_by_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ends_with_1 = (
        "import os, pathlib, signal, sys;"
        " told = {signal.SIGTERM}; signal.pthread_sigmask(signal.SIG_BLOCK, told);"
        f" pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch(); signal.sigwait(told); sys.exit(1)"
    )
    monkeypatch.setattr(supervisor, "COMMAND", ("-c", ends_with_1))
    monkeypatch.setattr(supervisor, "STOP_S", PATIENCE_S)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(supervisor.supervise, Settings(http_port=0), os.environ, Role.WEB, 2, stop)
        deadline = time.monotonic() + PATIENCE_S
        while len(list(tmp_path.iterdir())) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        stop.set()
        assert code.result() == 1


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("SLACK_BOT_TOKEN", "xoxb-wrong", "SLACK_BOT_TOKEN: Slack refuses this token (invalid_auth)"),
        ("DATABASE_URL", "mysql://bot@127.0.0.1/none", "DATABASE_URL is for mysql"),
        ("HTTP_PORT", "in use", "HTTP_HOST, HTTP_PORT: 127.0.0.1:"),
        ("METRICS_TOKEN", "two words", "METRICS_TOKEN holds blanks"),
        ("SLACK_SIGNING_SECRET", "", "Not set: SLACK_APP_TOKEN (or SLACK_SIGNING_SECRET, for requests over HTTP)"),
    ],
)
def test_a_bad_setting_is_named_once_and_leaves_no_process(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    sentence: str,
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    given = {
        "DATABASE_URL": database_url,
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_SIGNING_SECRET": "secret",
        "HTTP_PORT": "0",
        "LOG_FORMAT": "json",
        variable: value,
    }
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with Sandbox() as slack, socket.create_server(("127.0.0.1", 0)) as taken:
        given["SLACK_API_URL"] = slack.api_url
        for name, of_setting in given.items():
            monkeypatch.setenv(name, str(taken.getsockname()[1]) if of_setting == "in use" else of_setting)
        assert main(["serve", "--role", "web", "--workers", "2"]) == 2
    lines = capfd.readouterr().err.splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    [said] = [line for line in lines if not line.startswith("{")]
    assert said.startswith(sentence)
    assert not [line for line in logged if line["level"] == "error"]
    for pid in [line["pid"] for line in logged if line["event"] == "a process has been started"]:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("role", "workers", "sockets", "sentence"),
    [
        (Role.WORKER, 2, 1, "Run `serve --role worker` as often as you need it instead."),
        (Role.ALL, 11, 1, "11 processes open 11 web sockets (TOCSIN_SOCKETS is 1), and Slack allows 10 for one app."),
        (Role.WEB, 4, 3, "4 processes open 12 web sockets (TOCSIN_SOCKETS is 3), and Slack allows 10 for one app."),
    ],
)
def test_workers_that_cannot_answer_are_refused(role: Role, workers: int, sockets: int, sentence: str) -> None:
    settings = Settings(slack_bot_token="xoxb-1", slack_app_token="xapp-1", sockets=sockets)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="--workers") as refused:
        check_workers(settings, role, workers)
    assert sentence in refused.value.sentence
    check_workers(settings, Role.ALL, 10 // sockets)


def count(metrics: ProcessMetrics, commands: int) -> list[Any]:
    """The metrics of a process that has answered so many commands."""
    metrics.requests.set_sources(database_up=lambda: True, slack_connected=lambda: commands > 1)
    for _ in range(commands):
        metrics.requests.commands.labels("list", "ok").inc()
        metrics.requests.command_seconds.labels("list").observe(0.003)
    ProcessCollector(registry=metrics.registry)
    return list_families(metrics.registry)


def test_the_metrics_of_processes_become_those_of_one() -> None:
    one, other = count(ProcessMetrics(), 1), count(ProcessMetrics(), 2)
    for _, _, kind, samples in one:
        assert [sample[0] for sample in samples if find_rule(sample[0], kind) is None] == []  # each gauge has a rule
    # One that only a newer process knows has none, and is shown all the same.
    newer = ["tocsin_new", "", "gauge", [["tocsin_new", {}, 3.0]]]
    assert merge([[newer], [newer]]) == [newer]
    merged = merge([one, other, keep_counts(other)])
    shown = {
        (sample.name, *sample.labels.values()): sample.value
        for family in build_metrics(merged)
        for sample in family.samples
    }
    assert shown["tocsin_commands_total", "list", "ok"] == 5
    assert shown["tocsin_command_seconds_count", "list"] == 5
    assert shown["tocsin_command_seconds_bucket", "list", "0.002"] == 0
    assert shown["tocsin_command_seconds_bucket", "list", "0.004"] == 5
    assert shown["tocsin_database_up",] == 1
    assert shown["tocsin_slack_connected",] == 0
    resident = [sample[2] for family in (*one, *other) for sample in family[3] if "resident" in sample[0]]
    assert shown["process_resident_memory_bytes",] == sum(resident) > 0


def test_a_process_that_does_not_answer_is_shown_as_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does not whose database hangs, because it asks the database whether it is up."""
    monkeypatch.setattr(supervisor, "_ANSWER_S", PATIENCE_S)
    answers = iter([count(ProcessMetrics(), 2)])
    ours, theirs = socket.socketpair()
    answering = threading.Thread(target=answer_questions, args=[theirs, lambda _: next(answers)])
    answering.start()
    port = socket.socket()
    port.close()
    group = supervisor._Group({}, port, threading.Event())
    group.add("web-1", Role.WEB)
    group._children[0]._questions = questions = Questions(ours)

    def show() -> dict[str, float]:
        return {sample[0]: sample[2] for family in group.collect() for sample in family[3]}

    well = show()
    assert well["tocsin_database_up"] == well["tocsin_slack_connected"] == 1
    after_an_error = show()  # no answer is left, so the process answers null
    questions.close()
    answering.join(PATIENCE_S)
    after_its_end = show()
    for unwell in (after_an_error, after_its_end):
        assert unwell["tocsin_database_up"] == unwell["tocsin_slack_connected"] == 0
        assert unwell["tocsin_commands_total"] == well["tocsin_commands_total"]
        assert "process_resident_memory_bytes" not in unwell


@pytest.mark.parametrize(("stopped", "code"), [(True, 0), (False, supervisor.EXIT_OUTSIDE)])
def test_a_process_is_not_started_on_a_port_that_a_stop_has_closed(*, stopped: bool, code: int) -> None:
    port, stop = socket.socket(), threading.Event()
    group = supervisor._Group({}, port, stop)
    group.add("web-1", Role.WEB)
    port.close()
    if stopped:
        stop.set()
    with capture_logs() as lines:
        assert group._children[0]._run() == code
    assert [line["event"] for line in lines] == ([] if stopped else ["a process cannot be started"])


def test_a_child_ends_with_its_channel_whatever_came_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: queue.Queue[tuple[int, int]] = queue.Queue()
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(os, "kill", lambda *what: killed.put(what))
    (asked, asking), (parent, answering) = socket.socketpair(), socket.socketpair()
    member = Member(f"{asking.detach()},{answering.detach()}")
    with asked, parent:
        parent.sendall(b"no question\n")
        assert killed.get(timeout=PATIENCE_S) == (os.getpid(), signal.SIGTERM)
    member._parent.close()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next() -> None:
    ours, theirs = socket.socketpair()
    go_on = threading.Event()

    def answer(question: str) -> str:
        if question == "slow":
            go_on.wait(PATIENCE_S)
        return question.upper()

    answering = threading.Thread(target=answer_questions, args=[theirs, answer])
    answering.start()
    questions = Questions(ours)
    with pytest.raises(NoAnswer):
        questions.ask("slow", 0.01)
    go_on.set()
    assert questions.ask("quick", PATIENCE_S) == "QUICK"
    questions.close()
    answering.join(PATIENCE_S)
    with pytest.raises(NoAnswer):
        questions.ask("again", PATIENCE_S)
