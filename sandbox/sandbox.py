"""The workspace as a test or a script holds it: start it, furnish it with people and channels, and watch
what the app does.
"""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from sandbox.clock import Clock
from sandbox.driver.person import Person
from sandbox.driver.surface import WAIT_SECONDS, SeenMessage, wait_until
from sandbox.errors import Problems, SandboxError
from sandbox.line import Exchange
from sandbox.platform import Platform
from sandbox.records import Channel, Json, User, UserGroup
from sandbox.server import ServerThread, application


class Sandbox:
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
        events: Iterable[str] | None = None,
        should_escape: bool = True,
        acknowledge_seconds: float = 3.0,
    ) -> None:
        """`scopes` and `events` (as `message.channels`) narrow what the app may do and hears; by default,
        everything.
        """
        self.platform = Platform(team_id=team_id, team_name=team_name, domain=domain, app_name=app_name)
        app = self.platform.app
        if scopes is not None:
            app.scopes = frozenset(scopes)
        if events is not None:
            app.events = frozenset(events)
        app.should_escape = should_escape
        self.platform.line.acknowledge_seconds = acknowledge_seconds
        self._port = port
        self._server = ServerThread(self.platform, application(self.platform))
        self._people: dict[str, Person] = {}
        self._open_channels: list[Channel] = []

    # -- running

    def start(self) -> Self:
        """Listen; raises OSError when the port is taken."""
        self._port = self._server.start(self._port)
        platform = self.platform
        platform.base_url = platform.response_urls.base = f"http://127.0.0.1:{self._port}"
        platform.running = True
        platform.sockets.on_change = self._wake
        return self

    def stop(self) -> None:
        """Close every connection and end the server."""
        self.platform.running = False
        self._server.stop()

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

    # -- furnishing

    def channel(
        self,
        channel_id: str,
        name: str,
        *,
        private: bool = False,
        shared_with: str | None = None,
        bot_in: bool = True,
        members: Iterable[Person] | None = None,
    ) -> Channel:
        """A channel. Without `members`, everyone is in it, also who comes later; `shared_with`: another
        company's team id.
        """
        workspace = self.platform.workspace
        everyone = [user.id for user in workspace.users.values() if not user.is_bot]
        ids = everyone if members is None else [person.id for person in members]
        channel = Channel(
            id=channel_id,
            name=name,
            private=private,
            shared_with=shared_with,
            created=int(self.clock.now()),
            creator=ids[0] if ids else self.bot_user_id,
            members=[*ids, *([self.bot_user_id] if bot_in else [])],
        )
        with workspace.changing():
            workspace.channels[channel_id] = channel
        if members is None:
            self._open_channels.append(channel)
        return channel

    def person(
        self,
        user_id: str,
        name: str,
        email: str | None = None,
        *,
        handle: str | None = None,
        tz: str = "UTC",
        email_confirmed: bool = True,
        restricted: bool = False,
        ultra_restricted: bool = False,
        is_bot: bool = False,
        deleted: bool = False,
        home_team: str | None = None,
    ) -> Person:
        """A person. `handle` (typed after an @) is their first name in small letters; `home_team`: another
        company's.
        """
        workspace = self.platform.workspace
        taken = {user.name for user in workspace.users.values()}
        handle = handle or name.split()[0].lower()
        if handle in taken:
            handle = name.lower().replace(" ", ".")
        user = User(
            id=user_id,
            name=handle,
            real_name=name,
            team_id=home_team or self.team_id,
            email=email,
            email_confirmed=email_confirmed,
            tz=tz,
            restricted=restricted,
            ultra_restricted=ultra_restricted,
            is_bot=is_bot,
            deleted=deleted,
        )
        workspace.add_user(user)
        with workspace.changing():
            for channel in self._open_channels:
                if home_team is None or channel.shared_with == home_team:
                    channel.members.append(user.id)
        person = self._people[user_id] = Person(self.platform, user)
        return person

    def usergroup(self, group_id: str, handle: str, name: str, users: Iterable[Person] = ()) -> UserGroup:
        """A user group, mentioned as @handle."""
        now = int(self.clock.now())
        group = UserGroup(group_id, handle, name, [person.id for person in users], created=now, updated=now)
        with self.platform.workspace.changing():
            self.platform.workspace.usergroups[group_id] = group
        return group

    def who(self, user_id: str) -> Person:
        """A person by id; raises SandboxError."""
        try:
            return self._people[user_id]
        except KeyError:
            raise SandboxError(f"there is nobody with the id {user_id}") from None

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
        """Everything that crossed the wire, oldest first (the last 20,000)."""
        return list(self.platform.line.traffic)

    @property
    def sent(self) -> list[Exchange]:
        """Every payload the app was sent."""
        return [exchange for exchange in self.traffic if exchange.kind not in ("web_api", "response_url")]

    def calls(self, method: str) -> list[Json]:
        """The arguments of every call of a Web API method so far."""
        return [
            exchange.sent for exchange in self.traffic if exchange.kind == "web_api" and exchange.name == method
        ]

    def messages(self, channel: Channel | str) -> list[SeenMessage]:
        """Everything in a channel's timeline, oldest first, as everyone sees it."""
        workspace = self.platform.workspace
        place = channel if isinstance(channel, Channel) else workspace.channel(channel)
        return [SeenMessage(self.platform, message) for message in workspace.visible(place, "")]

    @property
    def connections(self) -> int:
        """How many sockets the app holds."""
        return self.platform.sockets.connected

    def wait_until_connected(self, sockets: int = 1, timeout: float = 10.0) -> None:
        """Wait until the app holds this many sockets."""
        self.wait_until(lambda: self.connections >= sockets, timeout, f"{sockets} open sockets")

    def wait_until(
        self, condition: Callable[[], object], timeout: float = WAIT_SECONDS, what: str = "the condition"
    ) -> None:
        """Wait until a condition holds; raises AssertionError."""
        wait_until(self.platform, condition, timeout, lambda: f"{what}; problems so far: {self.problems!r}")

    def hang_up(self) -> None:
        """Close every socket, as at the end of a test: a client then need not wait for anything."""
        self.platform.call(self.platform.sockets.drop)

    def settle(self, timeout: float = WAIT_SECONDS) -> None:
        """Wait until the app has acknowledged everything that was sent; raises AssertionError."""
        if not self.platform.line.settle(timeout):
            raise AssertionError(f"not everything was acknowledged within {timeout:g} s")

    def expect_no_problems(self) -> None:
        """Raises AssertionError with everything the app did wrong."""
        if len(self.problems):
            raise AssertionError("the app did wrong:\n" + "\n".join(str(problem) for problem in self.problems))
