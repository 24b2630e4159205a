"""The workspace as a test or a script uses it: start it, add people and channels, and observe the app."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from sandbox.clock import Clock
from sandbox.control import control_application
from sandbox.deliveries import Delivery, Exchange
from sandbox.driver.person import Person
from sandbox.driver.surface import WAIT_SECONDS, SeenMessage, wait_until
from sandbox.errors import Problems
from sandbox.events import wrap_of_installation
from sandbox.faults import Faults, Limits
from sandbox.http_mode import HttpMode, RequestUrls
from sandbox.oauth import Installation, OAuth
from sandbox.platform import Platform
from sandbox.records import Channel, Json
from sandbox.server import ServerThread, application
from sandbox.workspace_setup import WorkspaceSetup


class HeldEvents:
    """Events that are held back."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._held: list[Delivery] = []
        platform.deliveries.held = self._held

    def __len__(self) -> int:
        return len(self._held)

    @property
    def names(self) -> list[str]:
        """The types of the events, in the order in which they happened."""
        return [delivery.exchange.name for delivery in self._held]

    def release(self, order: Sequence[int] | None = None, *, reverse: bool = False) -> None:
        """Send them in the order of these positions; positions left out are dropped. With `reverse`, last first."""
        waiting, self._held[:] = list(self._held), []
        chosen = [waiting[position] for position in order] if order is not None else waiting
        for delivery in chosen[::-1] if reverse else chosen:
            self._platform.deliveries.launch(delivery)


class Sandbox(WorkspaceSetup):
    """A Slack workspace on loopback. A context manager; `start` and `stop` do the same by hand."""

    def __init__(
        self,
        *,
        port: int = 0,
        team_id: str = "T0001",
        team_name: str = "Acme",
        domain: str = "acme",
        app_name: str = "Tocsin",
        scopes: Iterable[str] | None = None,
        subscriptions: Iterable[str] | None = None,
        should_escape: bool = True,
        acknowledge_seconds: float = 3.0,
        clock_behind: float = 0.0,
        enterprise_id: str | None = None,
        tls: bool = False,
        app_of: "Sandbox | None" = None,
        installed: bool = True,
    ) -> None:
        """`tls`: https and wss, with the workspace's own certificate (`authority`).

        `scopes` (everything) and `subscriptions` (USUAL_EVENTS) are those that the app was installed with.

        `clock_behind` (seconds) starts the workspace's clock in the past, for a history made with `say` and
        `clock.advance` before anything starts. `enterprise_id` makes the workspace one of an Enterprise organization.

        `app_of`: another workspace, whose app is this one's, too; its Web API serves both. `installed=False`: the app
        has to be installed by OAuth first.
        """
        platform = Platform(
            team_id=team_id,
            team_name=team_name,
            domain=domain,
            app_name=app_name,
            clock_behind=clock_behind,
            enterprise_id=enterprise_id,
            first=app_of.platform if app_of else None,
            installed=installed,
        )
        super().__init__(platform)
        app = self.platform.app
        if scopes is not None:
            app.scopes = frozenset(scopes)
        if subscriptions is not None:
            app.events = frozenset(subscriptions)
        app.should_escape = should_escape
        self.platform.deliveries.acknowledge_seconds = acknowledge_seconds
        self._port = port
        self._certificate = None
        if tls:
            from sandbox.tls import Certificate  # imported only when TLS is used

            self._certificate = Certificate()
        self._server = ServerThread(
            self.platform,
            application(self.platform, lambda: control_application(self)),
            self._certificate.context() if self._certificate else None,
        )
        self._http: HttpMode | None = None

    # -- running

    def start(self) -> Self:
        """Listen; raises OSError when the port is taken."""
        self._port = self._server.start(self._port)
        platform = self.platform
        scheme = "https" if self.tls else "http"
        platform.base_url = platform.response_urls.base = platform.files.base = f"{scheme}://127.0.0.1:{self._port}"
        platform.running = True
        platform.sockets.on_change = self._wake
        return self

    def stop(self) -> None:
        """Close every connection and end the server."""
        self.platform.running = False
        self._server.stop()
        if self._http is not None:
            self._http.close()
        if self._certificate is not None:
            self._certificate.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wake(self) -> None:
        with self.platform.workspace.changed:
            self.platform.workspace.changed.notify_all()

    # -- what the app needs to know

    @property
    def port(self) -> int:
        return self._port

    @property
    def tls(self) -> bool:
        """Whether the workspace uses https and wss."""
        return self._certificate is not None

    @property
    def authority(self) -> Path:
        """With `tls`: the authority that signed the workspace's certificate, for SSL_CERT_FILE of the app."""
        assert self._certificate is not None, "the workspace is without TLS"
        return self._certificate.authority

    @property
    def api_url(self) -> str:
        """The base of the Web API, for SLACK_API_URL or a client's `base_url`."""
        return f"{self.platform.base_url}/api/"

    @property
    def bot_token(self) -> str:
        return self.platform.app.bot_token

    @property
    def app_token(self) -> str:
        return self.platform.app.app_token

    @property
    def signing_secret(self) -> str:
        return self.platform.app.signing_secret

    @property
    def team_id(self) -> str:
        return self.platform.workspace.team_id

    @property
    def bot_user_id(self) -> str:
        return self.platform.app.bot_user_id

    @property
    def bot_mention(self) -> str:
        return f"<@{self.bot_user_id}>"

    # -- installations by OAuth

    @property
    def oauth(self) -> OAuth:
        """The app's client id and secret, redirect URLs, rotation, and installations."""
        return self.platform.oauth

    def allow(self, person: Person, authorize_url: str, *, for_enterprise: bool = False) -> str:
        """A person allows what Slack's page of authorization at this URL asks for, for the workspace or for its whole
        Enterprise organization. Returns where their browser is sent.
        """
        given = dict(parse_qsl(urlsplit(authorize_url).query, keep_blank_values=True))
        return self.oauth.allow(given, person.user, self.platform, for_enterprise=for_enterprise)

    def uninstall(self) -> None:
        """Remove the app from the workspace, or from the Enterprise organization if it was installed there."""
        installation = self._installation()
        self.oauth.uninstall(installation)
        bot = self.platform.app.bot_user_id
        self._announce_revoked(installation, people=[], bots=[bot])
        self._announce(installation, {"type": "app_uninstalled"})

    def announce_revoked(self, people: Sequence[Person]) -> None:
        """Tell the app that tokens of these people were revoked."""
        self._announce_revoked(self._installation(), people=[person.id for person in people], bots=[])

    def _announce_revoked(self, installation: Installation, *, people: list[str], bots: list[str]) -> None:
        self._announce(installation, {"type": "tokens_revoked", "tokens": {"oauth": people, "bot": bots}})

    def grant(self) -> None:
        """Give the installation of the Enterprise organization access to this workspace."""
        self.platform.oauth.install(self.platform, for_enterprise=True)
        self._announce(
            self._installation(), {"type": "team_access_granted", "team_ids": [self.team_id], **self._event_ts()}
        )

    def withdraw(self) -> None:
        """Take access to this workspace from the installation of the Enterprise organization."""
        installation = self._installation()
        installation.workspaces.remove(self.platform)
        self._announce(installation, {"type": "team_access_revoked", "team_ids": [self.team_id], **self._event_ts()})

    def _event_ts(self) -> Json:
        return {"event_ts": self.platform.workspace.next_ts()}

    def _installation(self) -> Installation:
        found = self.oauth.find_installation(self.platform)
        assert found is not None, "the app is not installed here"
        return found

    def _announce(self, installation: Installation, event: Json) -> None:
        platform, enterprise = self.platform, self.platform.workspace.enterprise
        if event["type"] in platform.app.events:
            payload = wrap_of_installation(
                event,
                app=platform.app,
                installation_id=installation.id,
                enterprise_id=enterprise["id"] if enterprise else None,
                at=self.clock.now(),
            )
            platform.deliveries.send("events_api", str(event["type"]), payload)

    # -- events out of order, and again

    @contextmanager
    def events_held(self) -> Iterator["HeldEvents"]:
        """Hold events back, to release them in another order; events left at the end are sent in order."""
        held = HeldEvents(self.platform)
        try:
            yield held
        finally:
            held.release()
            self.platform.deliveries.held = None

    def redeliver(self, exchange: Exchange, *, attempt: int = 1, reason: str = "timeout") -> None:
        """Send an event again, as if its acknowledgement had been lost."""
        self.platform.deliveries.send("events_api", exchange.name, exchange.sent, attempt=attempt, reason=reason)

    # -- HTTP mode

    def use_http(
        self,
        url: str,
        *,
        interactivity: str | None = None,
        commands: str | None = None,
        options: str | None = None,
    ) -> None:
        """Send everything as signed requests to these URLs (one for all, unless said); raises SandboxError.

        As in Slack, the URL must first answer a challenge.
        """
        urls = RequestUrls(url, interactivity or url, commands or url, options or url)
        http_mode = HttpMode(self.platform.app, self.platform.deliveries, self.clock, urls)
        try:
            http_mode.verify()
        except BaseException:
            http_mode.close()
            raise
        self._http = http_mode
        self.platform.deliveries.transport = http_mode

    # -- faults

    @property
    def faults(self) -> Faults:
        """Faults on demand for the app's calls."""
        return self.platform.faults

    @property
    def limits(self) -> Limits:
        """The rate limits of the app; off at first."""
        return self.platform.limits

    def revoke(self, error: str | None = "token_revoked") -> None:
        """Refuse every call from now on (`token_revoked`, `account_inactive`, `invalid_auth`); None: accept calls
        again.
        """
        self.platform.revoked = error

    def refresh_sockets(self, reason: str = "refresh_requested") -> None:
        """Ask the app to reconnect, and close the sockets, as Slack does every few hours."""
        self.platform.call(lambda: self.platform.sockets.disconnect(reason, close=True))

    def warn_sockets(self) -> None:
        """Warn the app that its sockets are about to be closed, but leave them open."""
        self.platform.call(lambda: self.platform.sockets.disconnect("warning", close=False))

    def refuse_sockets(self, reason: str | None = "too_many_websockets") -> None:
        """Send a disconnect in place of a hello to every socket opened from now on; None: stop doing so."""
        self.platform.sockets.refusing = reason

    def drop_sockets(self) -> None:
        """Cut the sockets without a disconnect message."""
        self.platform.call(self.platform.sockets.drop)

    # -- watching

    @property
    def clock(self) -> Clock:
        """The workspace's clock; `advance(seconds)` moves it."""
        return self.platform.clock

    @property
    def problems(self) -> Problems:
        """Everything the app did that Slack would refuse or no correct app does."""
        return self.platform.problems

    @property
    def traffic(self) -> list[Exchange]:
        """All traffic with the app, oldest first (the last 5,000)."""
        return list(self.platform.deliveries.traffic)

    @property
    def sent(self) -> list[Exchange]:
        """Every payload that was sent to the app."""
        return [exchange for exchange in self.traffic if exchange.kind not in ("web_api", "response_url")]

    def calls(self, method: str) -> list[Json]:
        """The arguments of every call of a Web API method so far."""
        return [exchange.sent for exchange in self.traffic if exchange.kind == "web_api" and exchange.name == method]

    def messages(self, channel: Channel | str) -> list[SeenMessage]:
        """Everything in a channel's timeline, oldest first, as everyone sees it."""
        workspace = self.platform.workspace
        place = channel if isinstance(channel, Channel) else workspace.channel(channel)
        return [SeenMessage(self.platform, message) for message in workspace.visible(place, "")]

    @property
    def connections(self) -> int:
        """The number of open sockets of the app."""
        return self.platform.sockets.connected

    def wait_until_connected(self, sockets: int = 1, timeout: float = WAIT_SECONDS) -> None:
        """Wait until the app has this many open sockets."""
        self.wait_until(lambda: self.connections >= sockets, timeout, f"{sockets} open sockets")

    def wait_until(
        self, condition: Callable[[], object], timeout: float = WAIT_SECONDS, what: str = "the condition"
    ) -> None:
        """Wait until a condition holds; raises AssertionError."""
        wait_until(self.platform, condition, timeout, lambda: f"{what}; problems so far: {self.problems!r}")

    def hang_up(self) -> None:
        """Close every socket, as at the end of a test, so that clients do not wait."""
        self.platform.call(self.platform.sockets.hang_up)

    def settle(self, timeout: float = WAIT_SECONDS) -> None:
        """Wait until the app has acknowledged every payload; raises AssertionError."""
        if not self.platform.deliveries.settle(timeout):
            raise AssertionError(f"not everything was acknowledged within {timeout:g} s")

    def expect_no_problems(self) -> None:
        """Raises AssertionError with all recorded problems, if there are any."""
        if len(self.problems):
            raise AssertionError("the app did wrong:\n" + "\n".join(str(problem) for problem in self.problems))
