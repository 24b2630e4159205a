"""Deleting an incident reads no whole table: what goes with it is found by an index, however much there is."""

from __future__ import annotations

from sqlalchemy import create_engine, text

# Foreign keys that follow the deletion of an incident, directly or through other rows, without an index that begins
# with their columns and has all rows. Of partial indexes those count whose condition is only that a column is set,
# because a deleted row is looked for by a value.
UNINDEXED = text(r"""
WITH RECURSIVE gone AS (
  SELECT 'incident'::regclass AS id
  UNION SELECT c.conrelid::regclass FROM pg_constraint c JOIN gone ON c.confrelid = gone.id
  WHERE c.contype = 'f' AND c.confdeltype = 'c'
)
SELECT c.conname FROM pg_constraint c JOIN gone ON c.confrelid = gone.id
WHERE c.contype = 'f' AND NOT EXISTS (
  SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid
  AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
  AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) ~ '^\(\w+ IS NOT NULL\)$'))
ORDER BY c.conname
""")


def test_what_goes_with_an_incident_is_found_by_an_index(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert list(connection.execute(UNINDEXED).scalars()) == []
    engine.dispose()
