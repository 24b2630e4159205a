"""The files for running Tocsin elsewhere, and the package that can be installed without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry

from bot import __version__, deployment, stopping
from bot.app import STOP_S
from bot.health import add_health_routes
from bot.processes import supervisor
from bot.settings import Role, Settings
from storage.engine import Store

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
def test_mistakes_in_alert_rules_and_dashboard_are_found(tmp_path: Path) -> None:
    # That there are none is one of the checks beside the tests.
    def check(*mistakes: tuple[Path, str, str]) -> list[str]:
        files = {path: tmp_path / path.name for path in (deployment.RULES, deployment.RULE_TESTS, deployment.DASHBOARD)}
        for path, copy in files.items():
            text = path.read_text(encoding="utf-8")
            for mistaken, old, new in mistakes:
                assert path != mistaken or old in text
                text = text.replace(old, new) if path == mistaken else text
            copy.write_text(text, encoding="utf-8")
        return [problem.split(": ")[0] for problem in deployment.check_prometheus(*files.values())]

    late = "max(tocsin_calls_late_seconds) > 60"
    assert check((deployment.RULES, late, "max(tocsin_calls_late_seconds > 60"))[0] == "promtool check rules"
    silences = (deployment.DASHBOARD, "max(tocsin_silences)", "max(tocsin_silences")
    wrong = check((deployment.RULES, late, "max(tocsin_calls_late) > 60"), silences)
    assert wrong == ["promtool test rules", "promtool check rules"]


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


# What the files name is what the product has.

DOCKERFILE = deployment.ROOT / "Dockerfile"
PORT = Settings.model_fields["http_port"].default
# Variables that others read: matplotlib, Python, the image of PostgreSQL, and Compose in the files themselves.
OF_OTHERS = {
    *("MPLCONFIGDIR", "PYTHONDONTWRITEBYTECODE"),
    *("POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "REQUIREMENTS"),
}


def list_containers() -> Iterator[dict[str, Any]]:
    for one in yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8")):
        if one["kind"] == "Deployment":
            yield from one["spec"]["template"]["spec"]["containers"]


def test_every_variable_is_one_that_somebody_reads() -> None:
    compose = deployment.COMPOSE.read_text(encoding="utf-8")
    services = yaml.safe_load(compose)["services"].values()
    [of_image] = re.findall(r"(?ms)^ENV (.*?[^\\])$", DOCKERFILE.read_text(encoding="utf-8"))
    named = {
        *re.findall(r"(\w+)=", of_image),
        *re.findall(r"\$\{(\w+)", compose),
        *(name for service in services for name in service["environment"]),
        *(variable["name"] for container in list_containers() for variable in container["env"]),
        *re.findall(r"environ\.get\('(\w+)'\)", DOCKERFILE.read_text(encoding="utf-8")),
    }
    settings = {str(field.validation_alias) for field in Settings.model_fields.values()}
    assert named - OF_OTHERS <= settings
    assert {"HTTP_HOST", "HTTP_PORT", "DATABASE_URL", "LOG_FORMAT"} <= named


def test_the_port_is_the_one_on_which_the_bot_serves() -> None:
    dockerfile = DOCKERFILE.read_text(encoding="utf-8")
    assert re.findall(r"(?m)^EXPOSE (\d+)$", dockerfile) == [str(PORT)]
    assert f"environ.get('HTTP_PORT') or {PORT}" in dockerfile
    services = yaml.safe_load(deployment.COMPOSE.read_text(encoding="utf-8"))["services"]
    assert services["web"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    for service in (services["web"], services["worker"]):
        assert service["environment"]["HTTP_PORT"] == PORT
        assert f"http://127.0.0.1:{PORT}/" in service["healthcheck"]["test"][-1]
    for container in list_containers():
        assert container["ports"] == [{"name": "http", "containerPort": PORT}]
        given = {variable["name"]: variable["value"] for variable in container["env"]}
        assert (given["HTTP_HOST"], given["HTTP_PORT"]) == ("0.0.0.0", str(PORT)), "the Secret may have others"


def test_what_is_asked_for_health_is_served_by_every_role() -> None:
    app = FastAPI()
    add_health_routes(app, cast("Store", None), slack_problem=lambda: None, registry=CollectorRegistry())
    served = {route.path for route in app.routes if isinstance(route, APIRoute)}
    files = [DOCKERFILE, deployment.COMPOSE]
    asked = {path for file in files for path in re.findall(r"(/\w+z)\b", file.read_text(encoding="utf-8"))}
    for container in list_containers():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked.add(container[probe]["httpGet"]["path"])
            assert container[probe]["httpGet"]["port"] == "http"
    assert asked == {"/healthz", "/readyz"} <= served


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    dockerfile = DOCKERFILE.read_text(encoding="utf-8")
    ignored = (deployment.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1] == "*", "everything that is not named below"
    copied = {word for line in re.findall(r"(?m)^COPY ([^-].*) \S+$", dockerfile) for word in line.split()}
    pages = [dockerfile, *(path.read_text(encoding="utf-8") for path in (deployment.ROOT / "docs").glob("*.md"))]
    requirements = {name for page in pages for name in re.findall(r"REQUIREMENTS=(requirements[\w-]*\.txt)", page)}
    assert requirements == {"requirements.txt", "requirements-extras.txt"}
    for name in copied - {"${REQUIREMENTS}"} | requirements:
        assert (deployment.ROOT / name).exists(), name
        assert f"!{name}" in ignored, name


def test_commands_and_their_options_exist() -> None:
    project = tomllib.loads((deployment.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    program = re.findall(r"(?m)^ExecStart=(\S+) (.*)$", deployment.UNIT.read_text(encoding="utf-8"))
    assert program == [("/opt/tocsin/venv/bin/tocsin", "serve")] and "tocsin" in project["scripts"]
    assert 'ENTRYPOINT ["/opt/tocsin/venv/bin/python", "/opt/tocsin/run_bot.py"]' in DOCKERFILE.read_text()
    services = yaml.safe_load(deployment.COMPOSE.read_text(encoding="utf-8"))["services"]
    given = [services["web"]["command"], services["worker"]["command"], *(one["args"] for one in list_containers())]
    for command, option, role in given:
        assert (command, option) == ("serve", "--role") and Role(role).value == role
    users = {one["securityContext"]["runAsUser"] for one in list_pods()} | {
        one["securityContext"]["runAsGroup"] for one in list_pods()
    }
    assert re.findall(r"(?m)^USER (\d+):(\d+)$", DOCKERFILE.read_text()) == [tuple(map(str, [*users, *users]))]


def test_a_stop_has_the_time_that_the_bot_takes() -> None:
    services = yaml.safe_load(deployment.COMPOSE.read_text(encoding="utf-8"))["services"]
    [of_unit] = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", deployment.UNIT.read_text(encoding="utf-8"))
    times = [int(of_unit), *(int(services[name]["stop_grace_period"].removesuffix("s")) for name in ("web", "worker"))]
    for pod in list_pods():
        hooks = [container.get("lifecycle", {}).get("preStop") for container in pod["containers"]]
        before = sum(int(hook["exec"]["command"][1]) for hook in hooks if hook)
        times.append(pod["terminationGracePeriodSeconds"] - before)
    assert min(times) > supervisor.LIMIT_S > supervisor.STOP_S > stopping.LIMIT_S > STOP_S


def list_pods() -> list[dict[str, Any]]:
    objects = yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8"))
    return [one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Deployment"]


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
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, timeout=250)
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
            timeout=250,
            check=False,
        )
        return done.stdout, done.stderr, done.returncode

    assert run("--version") == (f"Tocsin {__version__}\n", "", 0)
    shown, _, code = run("--help")
    assert code == 0 and shown.startswith("Usage: python3 -m bot")
    assert "Runs the bot." in shown and "Runs the tests" not in shown  # it has none
    assert run("serv")[1].endswith("(python3 -m bot --help shows the commands)\n")
