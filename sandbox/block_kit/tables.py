"""The cells, rows and columns of tables.

Source: as for `blocks`.
"""

from collections.abc import Iterator, Mapping

from sandbox.block_kit.rich_text import NESTED_RICH_TEXT
from sandbox.block_kit.shapes import Rule, Visit, accepted, boolean, number, obj, one_of, tagged, text


def _characters(cells: object) -> Iterator[int]:
    """The lengths of the texts in a list of cells, at any depth of their rich text."""
    waiting = [cells]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(words := one.get("text"), str):
                yield len(words)
            waiting.append(one.get("elements"))
        elif isinstance(one, list):
            waiting.extend(one)


def _cells(block: Mapping[str, object]) -> list[list[object]]:
    rows = block.get("rows")
    return [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []


def one_table_of_length(most: int) -> Rule:
    """One table in a message (`only_one_table_allowed`), and a limit for the characters of all cells."""

    def rule(block: Mapping[str, object], at: str, visit: Visit) -> None:
        visit.tables += 1
        if visit.surface == "message" and visit.tables > 1:
            visit.report(at, "only_one_table_allowed")
        visit.table_length += sum(_characters(_cells(block)))
        if visit.table_length > most:
            visit.report(f"{at}/rows", f"together must be less than {most + 1} characters")

    return rule


def rows_are_even(block: Mapping[str, object], at: str, visit: Visit) -> None:
    rows = _cells(block)
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            visit.report(f"{at}/rows/{index}", "all rows must have the same number of cells")
    column = block.get("row_header_column_index")
    if rows and isinstance(column, int) and column >= len(rows[0]):
        visit.report(f"{at}/row_header_column_index", f"must be less than {len(rows[0])}")


def header_is_plain(block: Mapping[str, object], at: str, visit: Visit) -> None:
    for index, cell in enumerate(next(iter(_cells(block)), [])):
        if isinstance(cell, dict) and cell.get("type") == "rich_text":
            visit.report(f"{at}/rows/0/{index}/type", "unsupported type: rich_text")


CELL = tagged(
    {
        "raw_text": obj({"type": accepted, "text": text()}, ("text",)),
        "raw_number": obj({"type": accepted, "value": number, "text": text()}, ("value", "text")),
        "rich_text": NESTED_RICH_TEXT,
    }
)
COLUMN = obj({"align": one_of("left", "center", "right"), "is_wrapped": boolean})
