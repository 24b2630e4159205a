"""`run_bot.py check`: every check that CI runs beside the tests, one line each.

Runs in the environment of the checks (`.venv-checks`), which bot/environment.py builds. Only the standard library is
imported here; each check is a command.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

# By name: the command, whose first word is a program of the environment.
CHECKS: Mapping[str, Sequence[str]] = {
    "style": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "types": ("mypy",),
    "imports": ("lint-imports",),
    # C is radon's rank for up to 20 independent paths through a function.
    "complexity": ("xenon", "--max-absolute", "C", "bot", "storage", "sandbox"),
    "readme": ("python", "-m", "bot.readme"),
    "sentences": ("python", "-m", "bot.sentences"),
    "docs": ("mkdocs", "build", "--strict", "--quiet"),  # also checks their links
    "licences": ("python", "-m", "bot.licences"),
    "dockerfile": ("hadolint", "Dockerfile"),
    "compose": ("python", "-m", "bot.deployment", "compose"),
    "systemd": ("python", "-m", "bot.deployment", "systemd"),
    "kubernetes": ("kubernetes-validate", "--strict", "--quiet", "deploy/kubernetes/tocsin.yaml"),
    "prometheus": ("python", "-m", "bot.deployment", "prometheus"),
    "migrations": ("python", "-m", "storage.migrate", "check"),
}


def main(names: Sequence[str]) -> int:
    """Run the named checks, or all; gives 0 when all pass, 1 when one fails, 2 for a name that is none."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"There is no check {', '.join(unknown)}; the checks are {', '.join(CHECKS)}.", file=sys.stderr)  # noqa: T201
        return 2
    failed = [name for name in names or CHECKS if not _passes(name)]
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)  # noqa: T201
    return 1 if failed else 0


def _passes(name: str) -> bool:
    program, *arguments = CHECKS[name]
    began = time.monotonic()
    done = subprocess.run(
        [str(BIN / program), *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    result = "passed" if done.returncode == 0 else "FAILED"
    print(f"{name}: {result} in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    if done.returncode:
        print(done.stdout, flush=True)  # noqa: T201
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
