"""The connection with which one request reads."""

from __future__ import annotations

from sqlalchemy import Connection, Engine


class Reading:
    """A connection in autocommit mode that can be returned to the pool while the caller waits for Slack."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._over = False

    @property
    def connection(self) -> Connection:
        """The connection; a new one from the pool after `give_back`. Raises RuntimeError after `end`.

        A failure to connect leaves the block of `Store.reading` as DatabaseAway.
        """
        if self._connection is None:
            if self._over:
                raise RuntimeError("this request reads no more")
            self._connection = self._engine.connect()
        return self._connection

    def give_back(self) -> None:
        """Returns the connection to the pool. Call it before a request to Slack, which may take seconds."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def end(self) -> None:
        """Returns the connection to the pool for good."""
        self._over = True
        self.give_back()
