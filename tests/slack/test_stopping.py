"""The signals that tell a process to stop, and that it ends in time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from bot.stopping import stop_on_signals
from tests.ending import wait_for_end
from tests.forking import ForkedProcess
from tests.patience import PATIENCE_S
from tests.slack.serving import ROOT


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of the tests are there again afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_may_interrupt_the_wait_for_it_anywhere(number: signal.Signals) -> None:
    with stop_on_signals() as stop:
        assert not stop.is_set()
        with vars(stop)["_cond"]:  # as `wait` does, for a moment
            signal.raise_signal(number)
            signal.raise_signal(number)  # and once more: systemd sends it to all processes, and then their parent does
        assert stop.wait(PATIENCE_S)


def test_a_signal_may_interrupt_any_thread() -> None:
    with stop_on_signals() as stop:
        threading.Thread(target=signal.raise_signal, args=[signal.SIGTERM]).start()
        assert stop.wait(PATIENCE_S)


def test_without_a_signal_nothing_is_told_to_stop_and_a_late_one_ends_nothing() -> None:
    with stop_on_signals(PATIENCE_S) as stop:
        pass
    assert "signals" not in {thread.name for thread in threading.enumerate()}
    signal.raise_signal(signal.SIGTERM)
    assert not stop.is_set()


def test_what_hangs_is_ended_in_time_and_shows_where() -> None:
    process = ForkedProcess(
        "tests.never_ending", "limited", cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr as errors:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert wait_for_end(process, lambda: errors.read().decode()) == 1
        text = errors.read().decode()
    assert text.startswith("Timeout (0:00:00.100000)!\n") and "in wait_for_nobody\n" in text
