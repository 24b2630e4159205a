"""Keys: what goes with an incident is found by an index, and the organization is in all that can have it."""

from __future__ import annotations

from sqlalchemy import create_engine, text

from storage.models import Base

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


# What the primary keys of these wait for is in docs/database.md.
KEYS_WITHOUT_TENANT = {"destination", "incident_seen", "member", "team"}
# The organization and the workspace are their own; the others belong to the installation as a whole.
WITHOUT_TENANT = {"organization", "workspace", "installation", "oauth_state", "process_lease", "replica"}
PRIMARY_KEYS = text("""
SELECT c.conrelid::regclass::text,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, nth)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum ORDER BY k.nth)
FROM pg_constraint c WHERE c.contype = 'p' AND c.connamespace = 'public'::regnamespace
""")


def test_primary_keys_have_the_organization_or_the_workspace_and_are_those_of_the_models(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        keys = {table: columns for table, columns in connection.execute(PRIMARY_KEYS) if table != "alembic_version"}
    engine.dispose()
    without = {table for table, columns in keys.items() if not {"organization_id", "workspace_id"} & set(columns)}
    assert without == KEYS_WITHOUT_TENANT | WITHOUT_TENANT
    models = {name: [column.name for column in table.primary_key] for name, table in Base.metadata.tables.items()}
    assert keys == models
