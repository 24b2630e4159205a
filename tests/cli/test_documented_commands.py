"""Every line of a page that starts with `python3 run_bot.py` is a command that works as it stands there."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest

from bot.cli import main
from tests.cli.test_settings import VARIABLES

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "SECURITY.md",
    "docs/alerts.md",
    "docs/backup.md",
    "docs/data.md",
    "docs/database.md",
    "docs/deploy.md",
    "docs/index.md",
    "docs/settings.md",
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
}


def _documented() -> list[tuple[str, list[str]]]:
    """The commands in code, in their order, without comments and redirections."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        inline = re.findall(rf"`({re.escape(PREFIX)} [^`]*)`", text)
        for line in [line for block in BLOCK.findall(text) for line in block.splitlines()] + inline:
            command = re.search(rf"{re.escape(PREFIX)} ([^|<>)#]*)", line)
            if command:
                found.append((line, shlex.split(command[1])))
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
            continue
        code = main([token_id if word == "ID" else word for word in words])
        assert code == 0, f"{line}\n{capsys.readouterr()}"
        ran.add(words[0])
    assert {"apply", "export", "import", "manifest", "token"} <= ran
