"""Checks files of deployment: `python -m bot.deployment compose`, `systemd` or `prometheus`.

The other files of deployment have checkers that are commands of their own (bot/checks.py).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "compose.yaml"
RULES = ROOT / "deploy" / "prometheus" / "tocsin.rules.yml"
RULE_TESTS = RULES.with_name("tocsin.rules.test.yml")
DASHBOARD = ROOT / "deploy" / "grafana" / "tocsin.json"
UNIT = ROOT / "deploy" / "systemd" / "tocsin.service"

# systemd's score for a service, times ten: 0 is closed to everything, 100 is open. Ours has 14 with systemd 252; later
# ones look at more.
MAX_EXPOSURE = 20


def check_compose() -> list[str]:
    """What is wrong with compose.yaml, by the Compose specification and by the names that it refers to."""
    from compose_spec import PyCompose  # only the environment of the checks has it

    file = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    try:
        PyCompose.from_yaml(yaml.safe_dump(file)).to_spec()  # it knows no merge keys (`<<`), which Compose reads
    except ValueError as error:
        return [f"compose.yaml: {error}"]
    return list(find_unknown_names(file))


def find_unknown_names(file: dict[str, Any]) -> Iterator[str]:
    """Services and volumes that a service of the file refers to and that the file does not have."""
    services, volumes = file["services"], file.get("volumes") or {}
    for name, service in services.items():
        for other in service.get("depends_on", ()):
            if other not in services:
                yield f"compose.yaml: {name} depends on {other}, which is no service."
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            if not source.startswith((".", "/", "~")) and source not in volumes:
                yield f"compose.yaml: {name} mounts {source}, which is no volume."


def _report_missing(program: str, package: str) -> list[str]:
    """A program that is not installed is a problem only where everything has to be checked."""
    if os.environ.get("CI") == "true":
        return [f"{program} is not installed (Debian: apt install {package})."]
    print(f"Not checked: {program} is not installed.")  # noqa: T201
    return []


def check_systemd(unit: str) -> list[str]:
    """What systemd-analyze reports of a unit: mistakes, and a service that may do more than this one needs."""
    if not shutil.which("systemd-analyze"):
        return _report_missing("systemd-analyze", "systemd")
    with tempfile.TemporaryDirectory() as folder:
        # The program of the unit is not installed where it is checked.
        copy = Path(folder, UNIT.name)
        copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", unit), encoding="utf-8")
        commands = (
            ("verify", str(copy)),
            ("security", "--offline=yes", "--no-pager", f"--threshold={MAX_EXPOSURE}", str(copy)),
        )
        return [problem for command in commands for problem in _find_problems(command)]


def _find_problems(command: Sequence[str]) -> Iterator[str]:
    done = _run("systemd-analyze", *command)
    # An unknown setting is only a warning, and the code stays 0.
    if done.returncode or (command[0] == "verify" and UNIT.name in done.stdout):
        yield f"systemd-analyze {command[0]}: {done.stdout.strip()}"


def check_prometheus(rules: Path = RULES, tests: Path = RULE_TESTS, dashboard: Path = DASHBOARD) -> list[str]:
    """What promtool reports of the alert rules and their tests, and of the queries of the dashboard."""
    if not shutil.which("promtool"):
        return _report_missing("promtool", "prometheus")
    problems = [*_run_promtool("check", "rules", rules), *_run_promtool("test", "rules", tests)]
    with tempfile.TemporaryDirectory() as folder:
        queries = Path(folder, "dashboard.yml")
        found = [
            {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m")}
            for number, query in enumerate(find_queries(dashboard))
        ]
        queries.write_text(yaml.safe_dump({"groups": [{"name": dashboard.name, "rules": found}]}), encoding="utf-8")
        return [*problems, *_run_promtool("check", "rules", queries)]


def find_queries(dashboard: Path) -> list[str]:
    """The queries of all panels of a dashboard of Grafana."""
    panels = json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def _run_promtool(*arguments: str | Path) -> Iterator[str]:
    done = _run("promtool", *arguments)
    if done.returncode:
        yield f"promtool {arguments[0]} {arguments[1]}: {done.stdout.strip()}"


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def main(arguments: Sequence[str]) -> int:
    """Checks the named file. Returns 1 if something is wrong with it, 2 for a name that is none."""
    if arguments == ["compose"]:
        problems = check_compose()
    elif arguments == ["systemd"]:
        problems = check_systemd(UNIT.read_text(encoding="utf-8"))
    elif arguments == ["prometheus"]:
        problems = check_prometheus()
    else:
        print("python -m bot.deployment compose|systemd|prometheus", file=sys.stderr)  # noqa: T201
        return 2
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
