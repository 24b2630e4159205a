"""What is seen of a process that does not end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from tests.ending import SHOWS_STACKS, Process, describe_log, wait_for_end
from tests.forking import ForkedProcess
from tests.slack.serving import ROOT

MODULE = "tests.never_ending"


def start(forked: bool, *arguments: str) -> ForkedProcess | subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if forked:
        return ForkedProcess(
            MODULE, *arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, *arguments],
        cwd=ROOT,
        env={**environment, **SHOWS_STACKS},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("forked", [False, True])
def test_a_process_that_does_not_end_shows_its_threads_and_its_log(forked: bool) -> None:
    process = start(forked, *([] if forked else ["child"]))
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr as errors:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(AssertionError) as raised:
            wait_for_end(process, lambda: errors.read().decode(), 0)
    text = str(raised.value)
    assert f"Process {process.pid} did not end within 0 s." in text
    assert "the last line of its log" in text
    count = 1 if forked else 2  # its child, too
    assert text.count("in wait_for_nobody\n") == count, text
    assert len(re.findall(r'never_ending\.py", line \d+ in main\n', text)) == count, text
    assert text.count("ShdPnd 0000000000000000") == count, text


def test_a_process_that_ends_gives_its_exit_code() -> None:
    process: Process = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(3)"])
    assert wait_for_end(process, lambda: "") == 3


def test_of_a_long_log_the_end_is_shown_and_all_stacks() -> None:
    log = [{"event": f"line {number}", "level": "info"} for number in range(100)]
    stacks = ["Fatal Python error: Aborted\n", *(f"  File {number}\n" for number in range(200))]
    text = describe_log([*log, *({"event": line} for line in stacks)], last=2)
    assert text.startswith("{'event': 'line 98', 'level': 'info'}\n{'event': 'line 99', 'level': 'info'}\nFatal")
    assert text.endswith("File 199")
