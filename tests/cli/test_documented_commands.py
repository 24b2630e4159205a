"""Every command on a page works as it stands there.

Those of `run_bot.py` are run here or in the named tests. Of commands that need Docker, a cluster, root or a network,
the files and the commands of ours that they name exist; docs/deploy.md says that they were not run.
"""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest

from bot.checks import CHECKS
from bot.cli import COMMANDS, HOLD_COMMANDS, TOKEN_COMMANDS, main
from tests.cli.test_settings import VARIABLES

ROOT = Path(__file__).parents[2]
# docs/messages.md is generated, and has no commands for a shell.
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "sandbox/README.md", "benchmarks/README.md")
    for path in ROOT.glob(pattern)
    if path.name != "messages.md"
)
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
YAML = re.compile(r"^```yaml\n(organization:.*?)^```$", re.DOTALL | re.MULTILINE)
PREFIX = "python3 run_bot.py"
# They run until they are stopped, need Slack or a bot that runs, or are this run itself.
ELSEWHERE = {
    "demo": "tests/door/test_door.py",
    "test": "tests/door/test_door.py",
    "check": "tests/door/test_checks.py",
    "serve": "tests/slack/test_process.py",
    "doctor": "tests/doctor/test_doctor.py",
    "send-test": "tests/intake/test_send_test.py",
    "erase": "tests/stories/test_erasing.py",
    "hold": "tests/stories/test_retention.py",
    "after-restore": "tests/backup/test_restoring.py",
    "move": "tests/cells/test_moving.py",
}


# Words that begin a command for which something is needed that tests do not have.
OF_OTHERS = frozenset({"docker", "kubectl", "systemctl", "systemd-run", "install", "pip"})
OURS = frozenset(command.name for command in (*COMMANDS, *TOKEN_COMMANDS, *HOLD_COMMANDS)) | {"token", "hold"}


def _list_lines() -> list[str]:
    """The lines of code, in their order; what a backslash continues is one line."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        found += [line.strip() for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
        found += re.findall(r"`([^`\n]+)`", re.sub(BLOCK, "", text))
    return found


def _documented() -> list[tuple[str, list[str]]]:
    """The commands of run_bot.py in code, without comments and redirections."""
    found = []
    for line in _list_lines():
        if PREFIX in line:
            command = re.search(rf"{re.escape(PREFIX)} ([^|<>)#]*)", line)
            if command and (words := shlex.split(command[1])):
                found.append((line, words))
    return found


def test_every_command_of_the_pages_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", str(database_url))
    monkeypatch.setenv("TOCSIN_SECRET_KEY", "correct-horse-battery-staple")
    monkeypatch.setattr("sys.stdin", io.StringIO("0123456789abcdef0123456789abcdef\n"))
    monkeypatch.chdir(tmp_path)
    example = YAML.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert example
    Path("acme.yaml").write_text(example[1], encoding="utf-8")
    assert main(["apply", "acme.yaml"]) == 0
    assert main(["token", "create", "--organization", "acme", "--source", "events"]) == 0
    assert main(["token", "list"]) == 0
    token_id = capsys.readouterr().out.split("\n")[-2].split()[0]
    ran = set()
    for line, words in _documented():
        if words[0] in ELSEWHERE:
            assert (ROOT / ELSEWHERE[words[0]]).is_file()
            if words[0] == "check":
                assert set(words[1:]) <= CHECKS.keys(), line
            continue
        code = main([token_id if word == "ID" else word for word in words])
        assert code == 0, f"{line}\n{capsys.readouterr()}"
        ran.add(words[0])
    assert {"apply", "export", "import", "manifest", "token"} <= ran


def test_modules_that_the_pages_start_exist() -> None:
    started = {module for line in _list_lines() for module in re.findall(r"python3? -m ([a-z_.]+)", line)}
    ours = {
        module for module in started if module.split(".")[0] in ("bot", "storage", "tests", "benchmarks", "sandbox")
    }
    assert {"bot.readme", "storage.migrate", "benchmarks.failover", "sandbox"} <= ours
    for module in ours:
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    assert started - ours <= {"venv", "pip", "bot"}


def test_commands_for_other_programs_name_files_and_commands_that_exist() -> None:
    lines = [line for line in _list_lines() if line.split(" ")[0].split("/")[-1] in OF_OTHERS]
    named = set()
    for line in lines:
        for word in re.split(r"[\s:=]", line):
            # Not what the reader makes, nor what is elsewhere.
            if re.fullmatch(r"(?:deploy/[\w/-]+\.[a-z]+|[\w-]+\.txt)", word):
                assert (ROOT / word).is_file(), line
                named.add(word)
        for command in re.findall(r"(?<!-n )(?:run_bot\.py|tocsin) (?!-)([a-z-]+)(?= |$)", line):
            assert command in OURS, line
            named.add(command)
    assert {"deploy/systemd/tocsin.service", "deploy/kubernetes/tocsin.yaml", "requirements.txt", "doctor"} <= named
