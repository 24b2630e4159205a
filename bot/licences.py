"""The table of third-party licences, generated from the metadata of the installed packages.

`python -m bot.licences` fails if `docs/third-party.md` is out of date (CI runs this); `--write` updates it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "third-party.md"
_HEADING = """# Third-party licences

The packages that a running Tocsin imports or needs, as `requirements.txt` pins them, with the licence that each one
states. Tocsin contains none of their code: pip installs them. Packages that only tests and checks use are not listed.
This page is generated: `python -m bot.licences --write`.

"""
_EXTRAS_HEADING = """
## For Sentry and OpenTelemetry

What `requirements-extras.txt` pins besides. Tocsin runs without these packages.

"""
_ROW = re.compile(r"^\| ([\w.-]+) \| (.+) \|$", re.MULTILINE)
_TABLE = """| package | licence |
|---|---|
"""


def list_packages(requirements: str) -> list[str]:
    """The names of the packages that a requirements file pins."""
    return sorted(set(re.findall(r"^([A-Za-z0-9._-]+)==", requirements, re.MULTILINE)))


def describe_licence(package: PackageMetadata) -> str:
    """The licence that a package states: its SPDX expression, else its classifiers, else its free text."""
    if "License-Expression" in package:
        return package["License-Expression"]
    classifiers = [one for one in package.get_all("Classifier") or [] if one.startswith("License ::")]
    names = "; ".join(one.rpartition(" :: ")[2] for one in classifiers)
    if names:
        return names
    return package["License"] if "License" in package else "not stated"  # noqa: SIM401  # it has no get()


def render_page() -> str:
    """The page as the pins and the installed packages have it."""
    needed, with_extras = (
        list_packages((ROOT / name).read_text(encoding="utf-8"))
        for name in ("requirements.txt", "requirements-extras.txt")
    )
    extras = [name for name in with_extras if name not in needed]
    shown = dict(_ROW.findall(PAGE.read_text(encoding="utf-8"))) if PAGE.exists() else {}
    tables = [_TABLE + "".join(_render_rows(packages, shown)) for packages in (needed, extras)]
    return _HEADING + tables[0] + _EXTRAS_HEADING + tables[1]


def _render_rows(packages: Sequence[str], shown: Mapping[str, str]) -> Iterator[str]:
    for name in packages:
        try:
            yield f"| {name} | {describe_licence(metadata(name))} |\n"
        except PackageNotFoundError:
            # Needed on other systems only, or not in this environment: it keeps the row that it has.
            if name in shown:
                yield f"| {name} | {shown[name]} |\n"


def main(arguments: Sequence[str]) -> int:
    """Checks the page, or updates it. Returns 1 if it is out of date."""
    wanted = render_page()
    if "--write" in arguments:
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        print("docs/third-party.md is not up to date: python -m bot.licences --write", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
