"""Questions and answers between two processes, over a pair of sockets of which each has one."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

log = structlog.get_logger(__name__)

Answer = Callable[[str], Any]


class NoAnswer(Exception):
    """The other process has ended, or takes too long."""


class Questions:
    """The end of a channel that asks. Thread-safe."""

    def __init__(self, own: socket.socket) -> None:
        self._socket = own
        self._lock = threading.Lock()
        self._number = 0
        self._read = b""  # of an answer that has not arrived as a whole

    def ask(self, question: str, seconds: float) -> Any:
        """The answer, a JSON value. Raises NoAnswer after so many seconds."""
        deadline = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            raise NoAnswer
        try:
            self._number += 1
            self._socket.settimeout(seconds)
            self._socket.sendall(json.dumps([self._number, question]).encode() + b"\n")
            while True:
                number, answer = json.loads(self._read_line(deadline))
                if number == self._number:  # an earlier question may have been given up before its answer came
                    return answer
        except OSError:
            raise NoAnswer from None
        finally:
            self._lock.release()

    def close(self) -> None:
        """Ends the channel; whoever waits for an answer gets none."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _read_line(self, deadline: float) -> bytes:
        while b"\n" not in self._read:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            received = self._socket.recv(65536)
            if not received:
                raise NoAnswer
            self._read += received
        line, _, self._read = self._read.partition(b"\n")
        return line


def answer_questions(own: socket.socket, answer: Answer) -> None:
    """Answers what is asked over a channel, until the other process ends; with null what cannot be answered."""
    with contextlib.suppress(OSError), own, own.makefile("rb") as questions:
        for line in questions:
            number, question = json.loads(line)
            own.sendall(_build_answer(number, question, answer) + b"\n")


def _build_answer(number: int, question: str, answer: Answer) -> bytes:
    try:
        return json.dumps([number, answer(question)]).encode()
    except Exception:  # or else no later question would be answered either
        log.exception("a question of another process cannot be answered", question=question)
        return json.dumps([number, None]).encode()
