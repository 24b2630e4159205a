"""A real PostgreSQL of the bot's own, for when DATABASE_URL names none.

`EmbeddedPostgres` runs a server over a data folder for as long as the bot runs, and several processes share one.
It is reached through a socket in a folder that nobody else may enter, and listens on no port. With DATABASE_URL
set, nothing in here runs. Schema, engine and queries do not belong here.

Modules: `embedded_postgres` has the class and its thread, `server` runs one server process, `cluster` creates and
checks the data on disk, `binaries` finds the programs, `homes` the folders and the system user, `lock` decides which
process owns the server, `processes` starts children, `scratch` runs a server for tests.
"""

from storage.embedded.embedded_postgres import EmbeddedPostgres
from storage.embedded.scratch import scratch_postgres
from storage.errors import EmbeddedPostgresError

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "scratch_postgres"]
