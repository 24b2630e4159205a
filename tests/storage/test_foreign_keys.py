"""Deleting an incident reads no whole table: what goes with it is found by an index, however much there is."""

from __future__ import annotations

from sqlalchemy import create_engine, text

# Foreign keys that follow the deletion of an incident, directly or through other rows, without an index that begins
# with their columns and has all rows; ids are unique without the organization, so it may leave that out. Of partial
# indexes those count whose condition is only that a column is set, because a deleted row is looked for by a value.
UNINDEXED = text(r"""
WITH RECURSIVE gone AS (
  SELECT 'incident'::regclass AS id
  UNION SELECT c.conrelid::regclass FROM pg_constraint c JOIN gone ON c.confrelid = gone.id
  WHERE c.contype = 'f' AND c.confdeltype = 'c'
)
SELECT c.conname FROM pg_constraint c JOIN gone ON c.confrelid = gone.id
CROSS JOIN LATERAL (SELECT ARRAY(
  SELECT attnum FROM pg_attribute WHERE attrelid = c.conrelid AND attnum = ANY (c.conkey)
  AND attname <> 'organization_id') AS ids) k
WHERE c.contype = 'f' AND NOT EXISTS (
  SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid
  AND ((i.indkey::int2[])[0:cardinality(k.ids) - 1] @> k.ids
       OR (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
  AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) ~ '^\(\w+ IS NOT NULL\)$'))
ORDER BY c.conname
""")


def test_what_goes_with_an_incident_is_found_by_an_index(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert list(connection.execute(UNINDEXED).scalars()) == []
    engine.dispose()


# Foreign keys from a table with an organization to another such table that leave the organization out.
ACROSS = text("""
SELECT c.conname FROM pg_constraint c
JOIN pg_attribute child ON child.attrelid = c.conrelid AND child.attname = 'organization_id'
JOIN pg_attribute parent ON parent.attrelid = c.confrelid AND parent.attname = 'organization_id'
WHERE c.contype = 'f' AND child.attnum <> ALL (c.conkey)
""")


def test_no_row_can_refer_to_another_organization(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert list(connection.execute(ACROSS).scalars()) == []
    engine.dispose()
