"""Assembles the parts of the workspace: its state, the connection to the app, forms, triggers and response
URLs.
"""

import secrets
import threading
from collections.abc import Callable

from sandbox.clock import Clock
from sandbox.deliveries import Deliveries
from sandbox.errors import Problem, Problems
from sandbox.events import subscription, wrap
from sandbox.faults import Faults, Limits
from sandbox.files import Files
from sandbox.interactions import ResponseUrls, Triggers
from sandbox.manifest import Menu
from sandbox.records import App, Channel, Json
from sandbox.scopes import ALL_BOT_SCOPES, BY_EVENT, USUAL_EVENTS
from sandbox.socket_mode import SocketMode
from sandbox.timers import Timers
from sandbox.unread import Unread
from sandbox.views import Views
from sandbox.workspace import Workspace


class Platform:
    """Everything that the Web API and the driver use, without the server."""

    def __init__(
        self,
        *,
        team_id: str,
        team_name: str,
        domain: str,
        app_name: str,
        clock_behind: float = 0.0,
        enterprise_id: str | None = None,
    ) -> None:
        number = secrets.randbelow(10**10)
        self.clock = Clock(clock_behind)
        self.problems = Problems()
        self.app = App(
            app_id="A0001",
            bot_id="B0001",
            bot_user_id="U0BOT",
            name=app_name,
            bot_token=f"xoxb-{number}-sandbox-{secrets.token_hex(8)}",
            app_token=f"xapp-1-A0001-{number}-{secrets.token_hex(16)}",
            signing_secret=secrets.token_hex(16),
            verification_token=secrets.token_hex(12),
            scopes=ALL_BOT_SCOPES,
            events=USUAL_EVENTS,
        )
        self.workspace = Workspace(
            team_id=team_id,
            name=team_name,
            domain=domain,
            app=self.app,
            clock=self.clock,
            enterprise={"id": enterprise_id, "name": f"{team_name} Group"} if enterprise_id else None,
        )
        self.faults = Faults()
        self.limits = Limits(self.clock)
        self.timers = Timers(self.clock)
        self.deliveries = Deliveries(self.clock, self.problems, self.timers)
        self.sockets = SocketMode(self.app, self.deliveries, self.clock)
        self.deliveries.transport = self.sockets
        self.triggers = Triggers(self.clock, str(number))
        self.response_urls = ResponseUrls(self.workspace, self.problem)
        self.views = Views(self.workspace)
        self.files = Files(self.workspace)
        self.unread = Unread(self.workspace)
        self.menu = Menu()
        self.guide: list[Json] = []  # the steps of the guided path on the page: title, text, as, done
        self.guide_buttons: dict[str, Callable[[], None]] = {}  # what their buttons do, by label
        self.workspace.on_event = self._publish
        self.running = False
        self.revoked: str | None = None  # `token_revoked`, `account_inactive`: the error of every call
        self.base_url = ""  # http://127.0.0.1:PORT, once the server has started

    def _publish(self, event: Json, channel: Channel | None, source_team: str) -> None:
        name = subscription(event)
        if not self.running or name not in self.app.events or BY_EVENT.get(name) not in {None, *self.app.scopes}:
            return
        payload = wrap(
            event,
            app=self.app,
            team_id=self.workspace.team_id,
            enterprise=self.workspace.enterprise,
            source_team=source_team,
            channel=channel,
            at=self.clock.now(),
        )
        self.deliveries.send("events_api", str(event["type"]), payload)

    def call(self, action: Callable[[], None]) -> None:
        """Run `action` on the server's event loop and wait for it."""
        assert self.deliveries.loop is not None, "the sandbox is not running"
        done = threading.Event()

        def run() -> None:
            action()
            done.set()

        self.deliveries.loop.call_soon_threadsafe(run)
        done.wait()

    def problem(self, kind: str, detail: str) -> None:
        """Record a mistake of the app."""
        self.problems.add(Problem(kind, detail, self.clock.now()))
