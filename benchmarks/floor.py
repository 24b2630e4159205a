"""The floor: a Bolt app that only acknowledges, and reads the rows that the bot would show, or writes, by psycopg2.

Run as a process of its own, like the bot: `python -m benchmarks.floor`, settings in the environment.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from psycopg2.pool import ThreadedConnectionPool
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

# The rows behind a page of ten, and behind one incident: by primary key, as cheaply as they can be had.
LIST_ROWS = (
    "SELECT i.id, i.identifier, i.title, i.status, i.environment, i.date_started, i.date_closed, i.team_id"
    " FROM incident i WHERE i.id = ANY(%s)"
)
VIEW_ROWS = "SELECT * FROM incident i WHERE i.id = %s"
# The least that can be on disk when a change is acknowledged: one UPDATE, one INSERT, one COMMIT.
UPDATE = "UPDATE incident SET date_detected = now() WHERE id = %(id)s"
INSERT = (
    "INSERT INTO incident_activity (incident_id, type, comment, date_added) VALUES (%(id)s, 3, 'looking at it', now())"
)


def main() -> None:
    """Serves until it is killed."""
    rows: dict[str, Any] = json.loads(os.environ["FLOOR_ROWS"])
    pool = ThreadedConnectionPool(10, 10, os.environ["FLOOR_DSN"])
    app = App(
        client=WebClient(token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"]),
        process_before_response=True,
    )

    @app.command("/incident")
    def command(ack: Callable[..., Any], body: dict[str, Any]) -> None:
        connection = pool.getconn()
        words = body["text"]
        connection.autocommit = words != "write in four"
        with connection.cursor() as cursor:
            match words:
                case "write":  # statements in one message are one transaction
                    cursor.execute(f"{UPDATE}; {INSERT}", {"id": rows["view"]})
                case "write in four":
                    cursor.execute(UPDATE, {"id": rows["view"]})  # behind BEGIN
                    cursor.execute(INSERT, {"id": rows["view"]})
                    connection.commit()
                case "list":
                    cursor.execute(LIST_ROWS, (rows["list"],))
                    cursor.fetchall()
                case _:
                    cursor.execute(VIEW_ROWS, (rows["view"],))
                    cursor.fetchall()
        pool.putconn(connection)
        ack()

    SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).connect()  # type: ignore[no-untyped-call]
    threading.Event().wait()


if __name__ == "__main__":
    main()
