"""Prometheus' Alertmanager as a process on loopback, for the story of the real thing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import httpx
import pytest

from tests.patience import PATIENCE_S
from tests.ports import find_free_port

# Debian's package calls it so, the project's own builds `alertmanager`.
NAMES = ("prometheus-alertmanager", "alertmanager")


def find() -> str | None:
    """The program, from ALERTMANAGER_BIN or the PATH."""
    return os.environ.get("ALERTMANAGER_BIN") or next(filter(None, map(shutil.which, NAMES)), None)


def required() -> str:
    """The program; where there is none, the test is skipped, but not where the tests are what decides."""
    program = find()
    if program is not None:
        return program
    missing = "Alertmanager is not installed (on Debian: apt-get install prometheus-alertmanager)"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


class Alertmanager:
    """A running Alertmanager to which a test can play Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def tell(self, name: str, started: datetime, ends: datetime | None = None, **labels: str) -> None:
        """Tells of an alert as Prometheus does; with `ends` in the past it is over."""
        alert: dict[str, object] = {
            "labels": {"alertname": name, **labels},
            "annotations": {"runbook_url": "https://runbooks.test/disk"},
            "startsAt": started.isoformat(),
            "generatorURL": "http://prometheus.test/graph?g0.expr=up",
        }
        if ends is not None:
            alert["endsAt"] = ends.isoformat()
        httpx.post(f"{self.url}/api/v2/alerts", json=[alert], timeout=PATIENCE_S).raise_for_status()


def _start(program: str, config: Path, data: Path, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            program,
            f"--config.file={config}",
            f"--storage.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=log,
    )


@contextlib.contextmanager
def running(program: str, folder: Path, receiver: str, token: str) -> Iterator[Alertmanager]:
    """An Alertmanager that sends everything to `receiver`, at once and without a peer."""
    config = {
        "route": {
            "receiver": "tocsin",
            "group_by": ["alertname"],
            "group_wait": "100ms",
            "group_interval": "300ms",
            "repeat_interval": "1h",
        },
        "receivers": [
            {
                "name": "tocsin",
                "webhook_configs": [
                    {
                        "url": receiver,
                        "send_resolved": True,
                        "http_config": {"authorization": {"type": "Bearer", "credentials": token}},
                    }
                ],
            }
        ],
    }
    path = folder / "alertmanager.yml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    port = find_free_port()
    log = folder / "alertmanager.log"
    with log.open("wb") as stream:
        process = _start(program, path, folder / "data", port, stream)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/-/ready").status_code == 200:
                    break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "Alertmanager does not start"
            time.sleep(0.05)
        yield Alertmanager(url)
    finally:
        process.terminate()
        process.wait()
