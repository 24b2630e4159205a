"""An embedded PostgreSQL server, for use without DATABASE_URL.

`EmbeddedPostgres` runs a server on a data folder while the bot runs. Several processes can share one server. Clients
connect through a socket in a folder that other users may not enter; the server listens on no port. With DATABASE_URL
set, nothing in this package runs. Schema, engine and queries do not belong here.

Modules: `embedded_postgres` contains the class and its thread, `server` runs one server process, `cluster` creates and
checks the data on disk, `binaries` finds the programs, `homes` the folders and the system user, `lock` decides which
process owns the server, `role` has the bot's role own its database, `processes` starts children, `scratch` runs a
server for tests.
"""

from storage.embedded.embedded_postgres import EmbeddedPostgres
from storage.embedded.role import ROLE, as_superuser
from storage.embedded.scratch import scratch_postgres
from storage.errors import EmbeddedPostgresError

__all__ = ["ROLE", "EmbeddedPostgres", "EmbeddedPostgresError", "as_superuser", "scratch_postgres"]
