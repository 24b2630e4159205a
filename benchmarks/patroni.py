"""PostgreSQL under Patroni with etcd and HAProxy, all on loopback, from Debian's packages.

Two servers, of which one is the synchronous standby of the other, and HAProxy in front, which passes connections to the
primary. As root, the programs of PostgreSQL run as the user `postgres`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

NAMES = ("one", "two")
STARTS_WITHIN_S = 90.0
TTL_S = 20  # the shortest that Patroni takes: how long a leader that is gone keeps its lock
_FOLDERS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path=_FOLDERS)
    if found is None:
        raise SystemExit(f"{name} is not installed (on Debian: apt-get install {package})")
    return found


def _find_postgresql() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise SystemExit("PostgreSQL is not installed (on Debian: apt-get install postgresql)")
    return found[-1].parent


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Node:
    """A server with its Patroni."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port, self.api_port = _free_port(), _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def find_role(self) -> dict[str, Any]:
        """What Patroni says of the server; an empty dictionary while it does not answer."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.api_port}/patroni", timeout=2.0)
        except httpx.HTTPError:
            return {}
        found: dict[str, Any] = answer.json()
        return found


class Cluster:
    """The two servers, etcd and HAProxy, until the block ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = "postgres" if os.geteuid() == 0 else None
        self._binaries = _find_postgresql()
        self._etcd_port, self._etcd_peer = _free_port(), _free_port()
        self.port = _free_port()  # HAProxy's
        self.nodes = [Node(name) for name in NAMES]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        self._folder.chmod(0o755)
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):  # etcd last: Patroni tells it that it stops
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(20)
        for node in self.nodes:
            for pid in self._list_pids(node):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @property
    def url(self) -> str:
        """The database, through HAProxy."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/tocsin"

    @property
    def url_of_hosts(self) -> str:
        """The database, with the servers as hosts of the URL."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://postgres@{hosts}/tocsin?target_session_attrs=read-write"

    def find_primary(self) -> Node | None:
        """The server that Patroni has made the primary."""
        roles = [(node, node.find_role()) for node in self.nodes]
        return next((node for node, role in roles if role.get("role") in ("master", "primary")), None)

    def kill(self, node: Node) -> None:
        """Ends a server and its Patroni at once, as when the machine loses power."""
        assert node.process is not None
        pids = self._list_pids(node)
        os.killpg(node.process.pid, signal.SIGKILL)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def switch_over(self, node: Node) -> None:
        """Has Patroni make the other server the primary, as for maintenance."""
        other = next(one for one in self.nodes if one is not node)
        asked = {"leader": node.name, "candidate": other.name}
        httpx.post(f"http://127.0.0.1:{node.api_port}/switchover", json=asked, timeout=60.0).raise_for_status()

    def _list_pids(self, node: Node) -> list[int]:
        """The processes of a server."""
        try:
            pid = int((self._folder / node.name / "postmaster.pid").read_text().split("\n")[0])
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except (OSError, ValueError):
            return []
        return [pid, *map(int, children)]

    def _run(self, name: str, command: list[str | Path]) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                user=self._user,
                env={"PATH": f"{self._binaries}:{_FOLDERS}", "LC_ALL": "C.UTF-8"},
            )
        self._processes.append(process)
        return process

    def _start_all(self) -> None:
        etcd = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._etcd_peer}"
        command: list[str | Path] = [_program("etcd", "etcd-server"), "--data-dir", self._folder / "etcd"]
        command += ["--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer]
        self._run("etcd", [*command, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"])
        for node in self.nodes:
            file = self._folder / f"{node.name}.yml"
            file.write_text(json.dumps(self._configure(node)), encoding="utf-8")  # JSON is YAML too
            node.process = self._run(f"patroni-{node.name}", [_program("patroni", "patroni"), file])
            self._wait_for(lambda node=node: node.find_role().get("state") == "running", f"server {node.name}")
        self._wait_for(lambda: any(self._is_synchronous(node) for node in self.nodes), "a synchronous standby")
        self._start_haproxy()
        psql: list[str | Path] = [self._binaries / "psql", "-qX", "-h", "127.0.0.1", "-p", str(self.port)]
        psql += ["-U", "postgres"]
        create = [*psql, "-c", "CREATE DATABASE tocsin"]
        self._wait_for(lambda: subprocess.run(create, capture_output=True).returncode == 0, "the primary by HAProxy")
        # Until HAProxy has asked, it takes every server for the primary.
        write = [*psql, "-d", "tocsin", "-c", "CREATE TEMPORARY TABLE probe ()"]
        self._wait_for(
            lambda: all(subprocess.run(write, capture_output=True).returncode == 0 for _ in NAMES * 4),
            "the primary alone by HAProxy",
        )

    @staticmethod
    def _is_synchronous(node: Node) -> bool:
        found = node.find_role().get("replication") or []
        return any(standby.get("sync_state") == "sync" for standby in found)

    def _configure(self, node: Node) -> dict[str, Any]:
        trust = ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
        return {
            "scope": "tocsin",
            "name": node.name,
            "restapi": {
                "listen": f"127.0.0.1:{node.api_port}",
                "connect_address": f"127.0.0.1:{node.api_port}",
            },
            "etcd3": {"host": f"127.0.0.1:{self._etcd_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_S,
                    "loop_wait": 2,
                    "retry_timeout": 4,
                    "synchronous_mode": True,
                    "postgresql": {
                        "parameters": {"max_connections": 200, "shared_buffers": "64MB", "synchronous_commit": "on"}
                    },
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}],
                "pg_hba": trust,
            },
            "postgresql": {
                "listen": f"127.0.0.1:{node.port}",
                "connect_address": f"127.0.0.1:{node.port}",
                "data_dir": str(self._folder / node.name),
                "bin_dir": str(self._binaries),
                "pgpass": str(self._folder / f"{node.name}.pgpass"),
                "pg_hba": trust,
                "parameters": {"unix_socket_directories": str(self._folder)},
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}},
            },
        }

    def _start_haproxy(self) -> None:
        servers = "\n".join(
            f"  server {node.name} 127.0.0.1:{node.port} check port {node.api_port}" for node in self.nodes
        )
        file = self._folder / "haproxy.cfg"
        file.write_text(
            "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen primary\n  bind 127.0.0.1:{self.port}\n  option httpchk GET /primary\n"
            "  http-check expect status 200\n"
            "  default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions\n"
            f"{servers}\n",
            encoding="utf-8",
        )
        self._run("haproxy", [_program("haproxy", "haproxy"), "-f", file, "-db"])

    def _wait_for(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"{what} is not there after {STARTS_WITHIN_S:.0f} s; the logs are in {self._folder}")
            time.sleep(0.2)
