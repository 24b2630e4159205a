"""Assembles the parts of the workspace: its state, the connection to the app, forms, triggers and response
URLs.
"""

import secrets
import threading
from collections.abc import Callable, Container, Mapping

from sandbox.clock import Clock
from sandbox.deliveries import Deliveries
from sandbox.errors import Problem, Problems
from sandbox.events import subscription, wrap
from sandbox.faults import Faults, Limits
from sandbox.files import Files
from sandbox.interactions import ResponseUrls, Triggers
from sandbox.manifest import Menu
from sandbox.oauth import OAuth
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
        first: "Platform | None" = None,
        installed: bool = True,
    ) -> None:
        """`first`: the workspace with whose app this one's is the same."""
        number = secrets.randbelow(10**10)
        self.clock: Clock = first.clock if first else Clock(clock_behind)
        self.oauth: OAuth = first.oauth if first else OAuth(self.clock)
        family = [one for one in self.oauth.workspaces if enterprise_id and one.enterprise_id == enterprise_id]
        count = len(self.oauth.workspaces)
        self.problems = Problems()
        self.app: App = App(
            app_id="A0001",
            # In an Enterprise organization a user is the same everywhere.
            bot_id=family[0].app.bot_id if family else f"B{count + 1:04}",
            bot_user_id=family[0].app.bot_user_id if family else f"U{count}BOT",
            name=app_name,
            bot_token=f"xoxb-{number}-sandbox-{secrets.token_hex(8)}",
            app_token=f"xapp-1-A0001-{number}-{secrets.token_hex(16)}",
            signing_secret=first.app.signing_secret if first else secrets.token_hex(16),
            verification_token=first.app.verification_token if first else secrets.token_hex(12),
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
        self.workspace.installed_as = self._installed_as
        self.running = False
        self.revoked: str | None = None  # `token_revoked`, `account_inactive`: the error of every call
        self.base_url = ""  # http://127.0.0.1:PORT, once the server has started
        self.oauth.adopt(self)
        if installed:
            self.oauth.issue(self.oauth.install(self), self)

    def _publish(self, event: Json, channel: Channel | None, source_team: str) -> None:
        name = subscription(event)
        if not self.running or name not in self.app.events or BY_EVENT.get(name) not in {None, *self.app.scopes}:
            return
        if self.oauth.find_installation(self) is None:
            return
        payload = wrap(
            event,
            app=self.app,
            team_id=self.workspace.team_id,
            enterprise=self.workspace.enterprise,
            source_team=source_team,
            channel=channel,
            at=self.clock.now(),
            org_wide=self.org_wide,
        )
        self.deliveries.send("events_api", str(event["type"]), payload)

    @property
    def enterprise_id(self) -> str | None:
        """The Enterprise organization that the workspace belongs to."""
        return self.workspace.enterprise["id"] if self.workspace.enterprise else None

    @property
    def org_wide(self) -> bool:
        """Whether the app is here as part of an Enterprise organization in which it was installed."""
        found = self.oauth.find_installation(self)
        return found is not None and found.of_enterprise

    def _installed_as(self) -> str:
        found = self.oauth.find_installation(self)
        return found.id if found else self.workspace.team_id

    def has(self, given: Mapping[str, object]) -> bool:
        """Whether what a call names is of this workspace."""
        workspace = self.workspace
        known: tuple[tuple[str, Container[object]], ...] = (
            ("team_id", {workspace.team_id}),
            ("channel", {*workspace.channels, *workspace.users}),
            ("trigger_id", self.triggers),
            ("view_id", self.views),
            ("file", self.files),
            ("user_id", workspace.users),
            ("user", workspace.users),
            ("users", workspace.users),
            ("email", {user.email for user in workspace.users.values()}),
        )
        return next((given[name] in there for name, there in known if given.get(name)), False)

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
