"""The base of all tables: constraint names and column types."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    FetchedValue,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can refer to it, and maps Python types to PostgreSQL types."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: TIMESTAMP(timezone=True),
        int: BigInteger,
        str: Text,
        dict[str, Any]: JSONB(none_as_null=True),
    }


def filled_organization() -> MappedColumn[int]:
    """Returns the column of the organization in a table where a trigger gives it to rows of the version before."""
    return mapped_column(server_default=FetchedValue())


def cascade(target: str) -> ForeignKey:
    """Returns a foreign key that deletes its rows with the referenced row."""
    return ForeignKey(target, ondelete="CASCADE")


def cascade_within(column: str, table: str) -> ForeignKeyConstraint:
    """Returns a foreign key to a row of the same organization, which deletes its rows with that row."""
    return _refer_within(column, table, "CASCADE")


def null_within(column: str, table: str) -> ForeignKeyConstraint:
    """Returns a foreign key to a row of the same organization, which sets the column to NULL when that row goes."""
    return _refer_within(column, table, f"SET NULL ({column})")


def _refer_within(column: str, table: str, action: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", column], [f"{table}.organization_id", f"{table}.id"], ondelete=action
    )
