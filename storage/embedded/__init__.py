"""A real PostgreSQL of the bot's own, for when DATABASE_URL names none.

`EmbeddedPostgres` runs a server over a data folder for as long as the bot runs, and several processes share one.
It is reached through a socket in a folder that nobody else may enter, and listens on no port. With DATABASE_URL
set, nothing in here runs. Schema, engine and queries do not belong here.

The rooms: `keeper` holds the class and its thread, `server` one server process, `cluster` the data on disk,
`binaries` the programs, `places` the folders and the system user, `lock` whose the server is, `processes` how
children are started, `scratch` a server for a test run.
"""

from storage.embedded.embedded_postgres import EmbeddedPostgres
from storage.embedded.scratch import scratch_postgres
from storage.errors import EmbeddedPostgresError

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "scratch_postgres"]
