"""The floor: a Bolt app that only acknowledges, and reads the rows that the bot would show, or writes, by psycopg2.

`answered list` also finds the caller, and answers with a line for each row: the least that a list can be.

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
# The same with the caller's rights, prepared: what an answer cannot do without, as the bot reads it.
CALLER_AND_LIST_ROWS = """
PREPARE caller_and_rows (text, text, bigint[]) AS
SELECT o.id, o.name, o.incidents, o.open_membership, p.date_checked, p.timezone, m.id, m.name, m.role, m.superuser,
       ARRAY(SELECT mt.team_id FROM member_team mt WHERE mt.member_id = m.id),
       i.id, i.identifier, i.title, i.status, i.environment, i.date_started, i.date_closed, i.team_id
FROM workspace w JOIN organization o ON o.id = w.organization_id
JOIN slack_person p ON p.workspace_id = w.id AND p.user_id = $2
JOIN member m ON m.id = p.member_id AND m.organization_id = o.id AND m.date_removed IS NULL
JOIN incident i ON i.organization_id = o.id
WHERE w.id = $1 AND w.date_disconnected IS NULL AND i.id = ANY($3)
"""
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
    for connection in [pool.getconn() for _ in range(10)]:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET plan_cache_mode = force_generic_plan; {CALLER_AND_LIST_ROWS}")
        pool.putconn(connection)
    app = App(
        client=WebClient(token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"]),
        process_before_response=True,
    )

    @app.command("/incident")
    def command(ack: Callable[..., Any], body: dict[str, Any]) -> None:
        connection = pool.getconn()
        words = body["text"]
        answer: dict[str, Any] = {}
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
                case "answered list":
                    caller = (body["team_id"], body["user_id"], rows["list"])
                    cursor.execute("EXECUTE caller_and_rows (%s, %s, %s)", caller)
                    answer = _draw(cursor.fetchall())
                case _:
                    cursor.execute(VIEW_ROWS, (rows["view"],))
                    cursor.fetchall()
        pool.putconn(connection)
        ack(**answer)

    SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).connect()  # type: ignore[no-untyped-call]
    threading.Event().wait()


def _draw(found: list[tuple[Any, ...]]) -> dict[str, Any]:
    """An answer with a line and a button for each incident, in as little code as can be."""
    lines = [
        {
            "type": "section",
            "text": {
                "type": "mrkdwn",
                "text": f":red_circle: *#{row[12]} {row[13]}*\nNone · for {row[16]} · {row[18]} · {row[15]} · :eyes: 1",
            },
            "accessory": {
                "type": "button",
                "text": {"type": "plain_text", "text": "View"},
                "action_id": "view",
                "value": str(row[12]),
            },
        }
        for row in found
    ]
    return {"text": ", ".join(f"#{row[12]} {row[13]}" for row in found), "blocks": lines}


if __name__ == "__main__":
    main()
