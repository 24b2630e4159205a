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

_TABLES = {mapper.class_.__name__: mapper.class_.__tablename__ for mapper in Base.registry.mappers}
TENANT_TABLES = {
    table.name
    for table in Base.metadata.tables.values()
    if "organization_id" in table.c and not table.c.organization_id.nullable
}
# A table, and what stands between the parentheses behind it. A placeholder there is a list that is composed elsewhere.
_INSERTED = re.compile(r"INSERT INTO (\w+)(?: AS \w+)?\s*\(([^)]*)\)")
# A model, or a variable for one, that SQLAlchemy inserts; and a value for the column, in a mapping or as an argument.
_BUILT = re.compile(r"\b(?:insert|upsert)\((\w+)\)")
_VALUE = re.compile(r"""["']organization_id["']: |\borganization_id=""")
_BETWEEN_LITERALS = re.compile(r'"\s*(?:# noqa: \S+[^\n]*)?\n\s*f?"')


def _inserting(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Each statement's name, its table, and its columns."""
    for path in sorted(folder.glob("*.py")):
        for name, source in _units(path.read_text(), path.stem):
            for table, columns in _INSERTED.findall(_BETWEEN_LITERALS.sub("", source)):
                yield name, table, columns


def _building(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """Each function that has SQLAlchemy insert: its name, the table, and whether it gives the organization."""
    for path in sorted(folder.glob("*.py")):
        for name, source in _units(path.read_text(), path.stem):
            for model in _BUILT.findall(source):
                yield name, _TABLES.get(model, model), bool(_VALUE.search(source))


def test_what_is_inserted_names_its_organization() -> None:
    found = [one for one in _inserting(Path(storage.queries.__path__[0])) if one[1] in TENANT_TABLES]
    unnamed = [
        (name, table) for name, table, columns in found if "organization_id" not in columns and "{" not in columns
    ]
    assert unnamed == []
    assert {"incident_activity", "incident_seen", "outbox", "post"} <= {table for _, table, _ in found}


def test_what_sqlalchemy_inserts_names_its_organization() -> None:
    others = set(_TABLES.values()) - TENANT_TABLES
    found = [one for one in _building(Path(storage.queries.__path__[0])) if one[1] not in others]
    assert [(name, table) for name, table, named in found if not named] == []
    assert {"member", "incident", "workspace"} <= {table for _, table, _ in found}


def test_a_statement_without_it_is_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        'SEE = (\n    "INSERT INTO incident_seen"  # noqa: S608\n    " (incident_id, member_id) SELECT 1, 2"\n)\n'
    )
    assert list(_inserting(tmp_path)) == [("wrong.SEE", "incident_seen", "incident_id, member_id")]


def test_an_insert_by_sqlalchemy_without_it_is_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "def see(tx, organization_id):\n    if organization_id == 1:\n        tx.execute(insert(IncidentSeen), [])\n"
        'def link(tx, organization_id, model):\n    tx.execute(upsert(model), {"organization_id": organization_id})\n'
    )
    assert list(_building(tmp_path)) == [("wrong.see", "incident_seen", False), ("wrong.link", "model", True)]
