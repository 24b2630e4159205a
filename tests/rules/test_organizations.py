"""Every statement that inserts a row of an organization names the organization.

Triggers look it up for the version before. They would do so for ours, too, and cost a function call for each row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import storage.queries
from storage.models import Base
from tests.rules.test_visibility import _units

TENANT_TABLES = {table.name for table in Base.metadata.tables.values() if "organization_id" in table.c}
# A table, and what stands between the parentheses behind it. A placeholder there is a list that is composed elsewhere.
_INSERTED = re.compile(r"INSERT INTO (\w+)(?: AS \w+)?\s*\(([^)]*)\)")
_BETWEEN_LITERALS = re.compile(r'"\s*(?:# noqa: \S+[^\n]*)?\n\s*f?"')


def _inserting(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Each statement's name, its table, and its columns."""
    for path in sorted(folder.glob("*.py")):
        for name, source in _units(path.read_text(), path.stem):
            for table, columns in _INSERTED.findall(_BETWEEN_LITERALS.sub("", source)):
                yield name, table, columns


def test_what_is_inserted_names_its_organization() -> None:
    found = [one for one in _inserting(Path(storage.queries.__path__[0])) if one[1] in TENANT_TABLES]
    unnamed = [
        (name, table) for name, table, columns in found if "organization_id" not in columns and "{" not in columns
    ]
    assert unnamed == []
    assert {"incident_activity", "incident_seen", "outbox", "post"} <= {table for _, table, _ in found}


def test_a_statement_without_it_is_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        'SEE = (\n    "INSERT INTO incident_seen"  # noqa: S608\n    " (incident_id, member_id) SELECT 1, 2"\n)\n'
    )
    assert list(_inserting(tmp_path)) == [("wrong.SEE", "incident_seen", "incident_id, member_id")]
