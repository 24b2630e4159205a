"""The files for running Tocsin elsewhere, and the package that can be installed without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from bot import __version__, deployment

KUBERNETES = deployment.ROOT / "deploy" / "kubernetes" / "tocsin.yaml"

with_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze") and os.environ.get("CI") != "true", reason="systemd is not installed"
)


@with_systemd
def test_the_unit_is_accepted_and_a_mistake_in_it_is_found() -> None:
    unit = deployment.UNIT.read_text(encoding="utf-8")
    assert deployment.check_systemd(unit) == []
    [problem] = deployment.check_systemd(unit.replace("RestartSec", "RestartSeconds"))
    assert "'RestartSeconds'" in problem
    [problem] = deployment.check_systemd(re.sub(r"(?m)^(Protect|SystemCall).*\n", "", unit))
    assert "security" in problem


with_promtool = pytest.mark.skipif(
    not shutil.which("promtool") and os.environ.get("CI") != "true", reason="Prometheus is not installed"
)


@with_promtool
def test_alert_rules_and_dashboard_are_accepted_and_mistakes_in_them_are_found(tmp_path: Path) -> None:
    assert deployment.check_prometheus() == []
    for original, old, new, what in (
        (deployment.RULES, "max(tocsin_calls_late_seconds) > 60", "max(tocsin_calls_late_seconds > 60", "check rules"),
        (deployment.RULES, "max(tocsin_calls_late_seconds) > 60", "max(tocsin_calls_late) > 60", "test rules"),
        (deployment.DASHBOARD, "max(tocsin_silences)", "max(tocsin_silences", "check rules"),
    ):
        files = {path: tmp_path / path.name for path in (deployment.RULES, deployment.RULE_TESTS, deployment.DASHBOARD)}
        for path, copy in files.items():
            text = path.read_text(encoding="utf-8")
            copy.write_text(text.replace(old, new) if path == original else text, encoding="utf-8")
        problems = deployment.check_prometheus(*files.values())
        assert any(problem.startswith(f"promtool {what}: ") for problem in problems), (old, problems)


def test_every_alert_rule_is_tested_and_says_what_to_do() -> None:
    rules = [
        rule
        for group in yaml.safe_load(deployment.RULES.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    tested = yaml.safe_load(deployment.RULE_TESTS.read_text(encoding="utf-8"))["tests"]
    assert {rule["alert"] for rule in rules} == {test["name"] for test in tested}
    page = (deployment.ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    for rule in rules:
        name = rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, name
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{name.lower()}"
        assert f"\n### {name}\n" in page, name


def test_panels_of_the_dashboard_have_places_of_their_own() -> None:
    panels = json.loads(deployment.DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        places = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & places, panel["title"]
        taken |= places
        assert panel["type"] == "row" or panel["targets"]


def test_services_and_volumes_of_compose_are_those_it_has() -> None:
    text = deployment.COMPOSE.read_text(encoding="utf-8")
    assert list(deployment.find_unknown_names(yaml.safe_load(text))) == []
    wrong = yaml.safe_load(
        text.replace("database:/", "data:/").replace("    postgres:\n      cond", "    postgresql:\n      cond")
    )
    assert list(deployment.find_unknown_names(wrong)) == [
        "compose.yaml: postgres mounts data, which is no volume.",
        "compose.yaml: web depends on postgresql, which is no service.",
        "compose.yaml: worker depends on postgresql, which is no service.",
    ]


def test_kubernetes_runs_both_roles_of_this_version() -> None:
    objects = list(yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8")))
    commands = {}
    for deployment_ in (one for one in objects if one["kind"] == "Deployment"):
        template = deployment_["spec"]["template"]
        [container] = template["spec"]["containers"]
        assert container["image"] == f"registry.example.com/tocsin:{__version__}"
        commands[template["metadata"]["labels"]["app.kubernetes.io/component"]] = container["args"]
        assert deployment_["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    assert commands == {"web": ["serve", "--role", "web"], "worker": ["serve", "--role", "worker"]}
    # Only who serves alerts and Slack's requests gets any; each role may lose one pod at a time.
    [service] = [one for one in objects if one["kind"] == "Service"]
    assert service["spec"]["selector"]["app.kubernetes.io/component"] == "web"
    budgets = [one["spec"]["selector"]["matchLabels"] for one in objects if one["kind"] == "PodDisruptionBudget"]
    assert [labels["app.kubernetes.io/component"] for labels in budgets] == ["web", "worker"]


def test_the_package_runs_where_it_is_installed(tmp_path: Path) -> None:
    """Built as `pip wheel .` does, and run from the wheel's files alone, for a user without HOME."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "run_bot.py"):
        shutil.copy(deployment.ROOT / name, source)
    for name in ("bot", "storage", "sandbox"):
        shutil.copytree(deployment.ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools.build_meta import build_wheel; build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, timeout=100)
    [wheel] = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(installed)

    for folder in ("bot", "storage", "sandbox"):  # nothing is left out, of data neither
        files = {path.relative_to(source) for path in (source / folder).rglob("*") if path.is_file()}
        packed = {path.relative_to(installed) for path in (installed / folder).rglob("*") if path.is_file()}
        assert {path for path in files - packed if path.suffix != ".md"} == set()

    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | {"PYTHONPATH": str(installed)}

    def run(*words: str) -> tuple[str, str, int]:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "bot", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return done.stdout, done.stderr, done.returncode

    assert run("--version") == (f"Tocsin {__version__}\n", "", 0)
    shown, _, code = run("--help")
    assert code == 0 and shown.startswith("Usage: python3 -m bot")
    assert "Runs the bot." in shown and "Runs the tests" not in shown  # it has none
    assert run("serv")[1].endswith("(python3 -m bot --help shows the commands)\n")
