"""The one place where the parts are put together, and taken down in order again."""

from __future__ import annotations

from bot.handlers.call import Tools
from bot.handlers.desk import Desk
from bot.people.identity import Identity
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.slack.line import Line
from bot.slack.socket import SocketLine
from storage.engine import Store


class Bot:
    """The bot on one database and the workspaces of its token, over Socket Mode or HTTP."""

    def __init__(
        self,
        store: Store,
        clients: Clients,
        *,
        api_url: str,
        command: str,
        app_token: str | None = None,
        signing_secret: str | None = None,
    ) -> None:
        self.store = store
        self._background = Background(api_url)
        identity = Identity(store, clients, self._background)
        self.line = Line(
            clients,
            Desk(Tools(store, identity, command)),
            self._background,
            api_url=api_url,
            command=command,
            signing_secret=None if app_token else signing_secret,
        )
        self.socket = SocketLine(self.line, app_token=app_token, api_url=api_url) if app_token else None

    def start(self) -> None:
        """Begins to take requests. Raises SlackApiError, OSError."""
        if self.socket:
            self.socket.connect()

    def stop(self) -> None:
        """Takes no more requests, finishes those under way and what they left to be sent."""
        if self.socket:
            self.socket.close()
        self._background.drain()
