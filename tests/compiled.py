"""SQL that SQLAlchemy has compiled, for all engines of this process.

An engine forgets what it has compiled when its test ends, and compiling a statement costs more than running it.
"""

from __future__ import annotations

from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

_MOST_STATEMENTS = 4000


def _are_alike(one: PGDialect_psycopg2, other: object) -> bool:
    """Whether two dialects compile alike, and read the rows in the same way."""
    return isinstance(other, PGDialect_psycopg2) and one._json_deserializer is other._json_deserializer


def share_compiled_statements() -> None:
    """Has all engines from now on find what others have compiled. The dialect is a part of the key."""
    statements: LRUCache[object, object] = LRUCache(_MOST_STATEMENTS)
    shared = property(lambda _engine: statements, lambda _engine, _own: None)
    setattr(Engine, "_compiled_cache", shared)  # noqa: B010 - mypy takes it for a plain attribute
    setattr(PGDialect_psycopg2, "__eq__", _are_alike)  # noqa: B010
    setattr(PGDialect_psycopg2, "__hash__", lambda dialect: hash(type(dialect)))  # noqa: B010
