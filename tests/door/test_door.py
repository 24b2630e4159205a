"""The door, tried on a checkout of its own, with stand-ins for the packages.

The stand-ins are wheels made here, with empty modules and a pytest that only says how it was called, so that
the real venv and the real pip are at work without a network.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import run_bot
from bot import environment
from bot.environment import CHECK_PINS, IN_PARALLEL, RUNTIME_MODULES, STAMP, TEST_MODULES, Environment
from tests.ending import SHOWS_STACKS, read_to_end

COMMAND = """
import os, signal, sys, time

def main(argv):
    print("ran", argv, "in", os.getcwd(), "with", sys.prefix, flush=True)
    if argv == ["wait"]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("waiting", flush=True)
        time.sleep(60)
    return 3
"""
PYTEST = """
import os, sys
print("pytest", sys.argv[1:], "in", os.getcwd())
"""


SYSTEMS_PIP = f'exec "{sys.executable}" "$@"'


class Checkout:
    """A checkout, the packages that its pins name, and an interpreter that has none of them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout, ångström"
        self.venv = self.root / ".venv"
        self.wheels = folder / "wheels"
        self.bare = folder / "bare"
        (self.root / "bot").mkdir(parents=True)
        for name in ("run_bot.py", "bot/__init__.py", "bot/environment.py", "bot/loading.py"):
            shutil.copy(environment.ROOT / name, self.root / name)
        (self.root / "bot/cli.py").write_text(COMMAND)
        runtime = self.pin("runtime", {f"{module}/__init__.py": "" for module in RUNTIME_MODULES})
        pytest_files = {"pytest/__init__.py": "", "pytest/__main__.py": PYTEST}
        testing = self.pin("testing", pytest_files | {f"{m}/__init__.py": "" for m in TEST_MODULES[:3]})
        plugins = self.pin("plugins", {f"{module}.py": "" for module in TEST_MODULES[4:]})
        (self.root / "requirements.txt").write_text(runtime)
        (self.root / "requirements-test.txt").write_text(runtime + testing + plugins)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.bare], check=True)

    def pin(self, name: str, files: dict[str, str]) -> str:
        """Make a wheel of some files, and return the line of requirements that names it."""
        info = f"{name}-1.0.dist-info"
        files = files | {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},sha256={digest(text)},{len(text.encode())}\n" for path, text in files.items())
        self.wheels.mkdir(exist_ok=True)
        wheel = self.wheels / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in (files | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}).items():
                archive.writestr(path, text)
        return f"{name}==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"

    def lack_ensurepip(self, pip: str) -> None:
        """Has the door run by an interpreter as on Debian without python3-venv.

        An environment comes only without pip, which also saves most of the time. `pip`, in shell, is the system's pip,
        which has to be aimed at the environment.
        """
        interpreter = self.root.parent / "python"
        interpreter.write_text(
            "#!/bin/sh\n"
            'case "$*" in\n'
            '"-m venv /"*) echo ensurepip is not available; exit 1;;\n'
            f'"-m pip "*) {pip};;\n'
            "esac\n"
            f'exec "{self.bare}/bin/python" "$@"\n'
        )
        interpreter.chmod(0o755)
        module = self.root / "bot/environment.py"
        started_by = f"import sys\n\nsys.executable = sys._base_executable = {str(interpreter)!r}\n"
        module.write_text(module.read_text().replace("import sys\n", started_by, 1))

    def start(self, *argv: str, python: Path | None = None, **settings: str) -> subprocess.Popen[str]:
        """Start the door as a stranger would, from another folder, with nothing in the environment."""
        home = self.root.parent / "home"
        home.mkdir(exist_ok=True)
        return subprocess.Popen(
            [python or self.bare / "bin/python", self.root / "run_bot.py", *argv],
            cwd=home,
            env={
                "HOME": str(home),
                "PATH": os.defpath,
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.wheels),
                "PIP_CONFIG_FILE": os.devnull,
                **SHOWS_STACKS,
                **settings,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str, python: Path | None = None, **settings: str) -> tuple[int, str, str]:
        """Run the door to its end; return its exit code, stdout and stderr."""
        process = self.start(*argv, python=python, **settings)
        return read_to_end(process)


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_first_start_builds_the_environment_and_later_ones_use_it(checkout: Checkout) -> None:
    code, out, err = checkout.run("view", "two words")
    assert code == 3
    assert f"ran ['view', 'two words'] in {checkout.root.parent / 'home'} with {checkout.venv}" in out
    assert err == f"Setting up {checkout.venv}, first run only (about 20 s)...\n"

    assert checkout.run("view")[::2] == (3, "")
    # The environment has the packages, so its own interpreter is used as it is.
    assert checkout.run("view", python=checkout.venv / "bin/python")[::2] == (3, "")

    # `test` adds its packages to the same environment, and the bot still runs from it.
    code, out, err = checkout.run("test", "-k", "some story")
    assert (code, err) == (0, f"Bringing {checkout.venv} up to requirements-test.txt...\n")
    assert out == f"pytest {[*IN_PARALLEL, '-k', 'some story']} in {checkout.root}\n"
    assert checkout.run("test", "-n0")[1:] == (f"pytest ['-n0'] in {checkout.root}\n", "")
    assert checkout.run("view")[::2] == (3, "")

    # A signal reaches the bot itself, and so does its exit code come back.
    process = checkout.start("wait")
    assert process.stdout
    while process.stdout.readline() != "waiting\n":
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert read_to_end(process)[0] == 7


def test_an_environment_follows_its_pins_its_packages_and_its_folder(checkout: Checkout) -> None:
    checkout.lack_ensurepip(SYSTEMS_PIP)
    assert checkout.run("view")[::2] == (3, f"Setting up {checkout.venv}, first run only (about 20 s)...\n")

    # New pins are installed on top; a package that went missing is a reason to build anew.
    with (checkout.root / "requirements.txt").open("a") as pins:
        pins.write("# newer\n")
    assert checkout.run("view")[::2] == (3, f"Bringing {checkout.venv} up to requirements.txt...\n")
    shutil.rmtree(next(checkout.venv.glob("lib/*/site-packages/yaml")))
    code, _, err = checkout.run("view", python=checkout.venv / "bin/python")  # which cannot build itself anew
    assert (code, err) == (3, f"Setting up {checkout.venv}, first run only (about 20 s)...\n")

    # Another place is another environment: scripts in it name the old one.
    moved = checkout.root.rename(checkout.root.with_name("moved"))
    checkout.root, checkout.venv = moved, moved / ".venv"
    code, out, err = checkout.run("view")
    assert (code, err) == (3, f"Setting up {checkout.venv}, first run only (about 20 s)...\n")
    assert str(checkout.venv) in out


def test_an_install_killed_half_way_is_repaired_by_the_next_starts(checkout: Checkout, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    checkout.lack_ensurepip(f"[ ! -e '{gate}' ] || read _ < '{gate}'; {SYSTEMS_PIP}")
    killed = checkout.start("view")
    at_work = open_when_read(gate, killed)
    killed.kill()
    killed.wait()
    assert (checkout.venv / STAMP).read_text() == ""

    # What the killed one left at work is waited for. Then one of two does the work, and the other waits for that, too.
    starts = [checkout.start("view"), checkout.start("view")]
    waiting = f"Another start is setting up {checkout.venv}; waiting for it...\n"
    for start in starts:
        assert start.stderr
        assert start.stderr.readline() == waiting
    gate.unlink()
    os.close(at_work)
    ends = [read_to_end(start) for start in starts]
    assert [code for code, _, _ in ends] == [3, 3]
    said = "".join(errors for _, _, errors in ends)
    assert said == f"Setting up {checkout.venv}, first run only (about 20 s)...\n"
    killed.communicate()


def open_when_read(fifo: Path, process: subprocess.Popen[str]) -> int:
    """Opens it for writing, once something that the process has started waits to read from it."""
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert process.poll() is None
            time.sleep(0.01)


def test_packages_that_cannot_be_had_end_in_a_sentence(checkout: Checkout) -> None:
    checkout.lack_ensurepip(SYSTEMS_PIP)
    shutil.rmtree(checkout.wheels)
    code, out, err = checkout.run("view")
    assert (code, out) == (2, "")
    assert "ERROR: No matching distribution found for runtime==1.0" in err
    assert "Traceback" not in err


def test_packages_that_are_not_the_pinned_ones_are_refused(checkout: Checkout) -> None:
    checkout.lack_ensurepip(SYSTEMS_PIP)
    checkout.pin("runtime", {"yaml/__init__.py": "# not what was pinned"})
    code, out, err = checkout.run("view")
    assert (code, out) == (2, "")
    assert "DO NOT MATCH THE HASHES" in err
    assert "Traceback" not in err


def test_an_environment_of_somebody_elses_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    checkout.lack_ensurepip(SYSTEMS_PIP)
    checkout.venv.mkdir()
    (checkout.venv / "theirs").touch()
    code, out, err = checkout.run("view", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert code == 3
    assert f"Setting up {tmp_path / 'cache/tocsin/venv-'}" in err
    assert f"with {tmp_path / 'cache/tocsin/venv-'}" in out
    assert [path.name for path in checkout.venv.iterdir()] == ["theirs"]


def test_nowhere_to_write_ends_in_a_sentence(checkout: Checkout, tmp_path: Path) -> None:
    checkout.venv.touch()
    (tmp_path / "cache").touch()
    code, out, err = checkout.run("view", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (code, out) == (2, "")
    assert f"neither in {checkout.venv} nor in {tmp_path / 'cache'}" in err
    assert err.endswith(f"python3 -m pip install -r {checkout.root / 'requirements.txt'}\n")


@pytest.mark.parametrize(("pip", "code"), [(SYSTEMS_PIP, 3), ("exit 1", 2)])
def test_an_interpreter_without_ensurepip(checkout: Checkout, pip: str, code: int) -> None:
    checkout.lack_ensurepip(pip)
    ended, _, err = checkout.run("view")
    assert ended == code
    assert ("has neither ensurepip nor a pip of 22.3 or newer" in err) == (code == 2)
    assert "Traceback" not in err


def test_an_environment_that_does_not_help_is_not_built_for_ever(checkout: Checkout) -> None:
    checkout.lack_ensurepip(SYSTEMS_PIP)
    (checkout.root / "requirements.txt").write_text(checkout.pin("runtime", {"yaml/__init__.py": ""}))
    code, _, err = checkout.run("view")
    assert code == 2
    assert f"{checkout.venv} was set up, but lacks alembic" in err


def test_an_environment_beside_the_usual_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Environment, "recreate", lambda *_: None)
    monkeypatch.setattr(Environment, "install", lambda *_: None)
    another = Environment(tmp_path / "not yet" / ".venv-checks", CHECK_PINS)
    assert another.complete() == another.python
    assert another.read_stamp() == another.stamp_when_complete(CHECK_PINS)


def test_a_python_too_old_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ast.parse(Path(run_bot.__file__).read_text(), feature_version=(3, 4))
    monkeypatch.setattr(sys, "version_info", (3, 8, 18, "final", 0))
    monkeypatch.setattr(sys, "version", "3.8.18 (default, Aug 1 2023)")
    assert run_bot.main(["serve"]) == 2
    assert capsys.readouterr().err == "Python 3.11 or newer is needed; this is 3.8.18.\n"


def test_the_modules_looked_for_are_those_of_the_declared_packages() -> None:
    project = tomllib.loads((environment.ROOT / "pyproject.toml").read_text())["project"]
    modules = packages_distributions()

    def packages(requirements: list[str]) -> set[str]:
        return {re.split("[<>=]", requirement)[0] for requirement in requirements}

    def standing_for(names: tuple[str, ...]) -> set[str]:
        # Several packages share the module `opentelemetry`; each is named like its part of it.
        found = {package for name in names for package in ([name] if "." in name else modules[name])}
        return {re.sub("[-_.]+", "-", package).lower() for package in found}

    assert packages(project["dependencies"]) == standing_for(RUNTIME_MODULES)
    assert packages(project["optional-dependencies"]["test"]) == standing_for(TEST_MODULES)


def test_the_pins_of_the_extras_are_those_of_the_others_and_more() -> None:
    def pins(name: str) -> set[str]:
        text = (environment.ROOT / name).read_text(encoding="utf-8")
        return set(re.findall(r"^([\w.-]+==[^\s;]+)", text, re.MULTILINE))

    assert pins("requirements.txt") < pins("requirements-extras.txt") < pins("requirements-test.txt")
    extras = {pin.partition("==")[0] for pin in pins("requirements-extras.txt") - pins("requirements.txt")}
    assert {"sentry-sdk", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"} <= extras


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([], [*IN_PARALLEL]),
        (["tests/door", "-x"], [*IN_PARALLEL, "tests/door", "-x"]),
        (["-n", "0"], ["-n", "0"]),
        (["-n4"], ["-n4"]),
        (["--numprocesses=2"], ["--numprocesses=2"]),
        (["-p", "no:xdist"], ["-p", "no:xdist"]),
        (["--pdb"], ["--pdb"]),
    ],
)
def test_tests_are_spread_unless_the_arguments_say_how(given: list[str], passed: list[str]) -> None:
    assert environment.pytest_arguments(given) == passed


def test_a_user_without_a_home_is_let_in() -> None:
    """As in a container that runs as a bare number: neither HOME nor an entry in passwd."""
    program = """
import os, pwd, sys
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
os.environ.pop("HOME", None)
from bot.environment import run_command
run_command(["manifest"])
import bot.app
print(os.environ["HOME"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=environment.ROOT, text=True, capture_output=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == [environment.NO_HOME], done.stderr
