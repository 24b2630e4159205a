"""How the app gets its tokens: authorizations by people, codes, tokens that expire and are refreshed, and their end.

One app can be installed in several workspaces, and in all workspaces of an Enterprise organization at once. They share
an `OAuth`, and the Web API of each serves the tokens of all.
"""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode, urlsplit

from sandbox.clock import Clock
from sandbox.errors import SandboxError, SlackError
from sandbox.records import Json, User

if TYPE_CHECKING:
    from sandbox.platform import Platform

CODE_SECONDS = 600.0
TOKEN_SECONDS = 12 * 3600
# After its use, a refresh token works for "a short grace period": docs.slack.dev/authentication/using-token-rotation.
GRACE_SECONDS = 60.0
ACTIVE_TOKENS = 2  # of one installation; a refresh revokes the oldest of more
# With the token of an Enterprise organization, these need a `team_id`:
# docs.slack.dev/enterprise/developing-for-enterprise-orgs.
NEED_TEAM = frozenset({"conversations.list", "usergroups.list", "usergroups.users.list", "users.list", "team.info"})


@dataclass(slots=True, eq=False)
class Installation:
    """The app in a workspace, or in an Enterprise organization: then `workspaces` are those that it was given."""

    id: str  # "T…" or "E…"
    workspaces: "list[Platform]"

    @property
    def of_enterprise(self) -> bool:
        return self.id.startswith("E")


@dataclass(slots=True, eq=False)
class Token:
    """A token of the app."""

    value: str
    installation: Installation
    kind: Literal["bot", "refresh"] = "bot"
    expires_at: float | None = None
    ended: str | None = None  # Slack's error for it


@dataclass(slots=True)
class _Code:
    user: User
    workspace: "Platform"
    scopes: frozenset[str]
    redirect_uri: str
    expires_at: float
    for_enterprise: bool
    used: bool = False


@dataclass(slots=True)
class OAuth:
    """The app's credentials, and its installations."""

    clock: Clock
    client_id: str = field(default_factory=lambda: f"{secrets.randbelow(10**10)}.{secrets.randbelow(10**12)}")
    client_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    redirect_urls: list[str] = field(default_factory=list)  # as in the manifest; none: every one is good
    rotation: bool = False
    org_deploy: bool = True
    workspaces: "list[Platform]" = field(default_factory=list)
    installations: dict[str, Installation] = field(default_factory=dict)
    _tokens: dict[str, Token] = field(default_factory=dict)
    _codes: dict[str, _Code] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # -- the installations

    def install(self, platform: "Platform", *, for_enterprise: bool = False) -> Installation:
        """Install the app, or do it again."""
        enterprise = platform.workspace.enterprise
        if for_enterprise and not enterprise:
            raise SandboxError("the workspace is of no Enterprise organization")
        key = enterprise["id"] if for_enterprise and enterprise else platform.workspace.team_id
        with self._lock:
            there = self.installations.setdefault(key, Installation(key, []))
            if platform not in there.workspaces:
                there.workspaces.append(platform)
            return there

    def adopt(self, platform: "Platform") -> None:
        """Add a workspace; the token of its app is good there, as after an installation on the app's own pages."""
        self.workspaces.append(platform)

    def find_installation(self, platform: "Platform") -> Installation | None:
        """The installation that serves a workspace: that of its Enterprise organization before its own."""
        with self._lock:
            found = [one for one in self.installations.values() if platform in one.workspaces]
        return min(found, key=lambda one: one.id, default=None)

    def issue(self, installation: Installation, platform: "Platform") -> tuple[Token, Token | None]:
        """The token for an installation and, with rotation, its refresh token.

        Without rotation it is the same as long as the app stays installed.
        """
        with self._lock:
            if not self.rotation:
                value = platform.app.bot_token
                known = self._tokens.get(value)
                if known is None or known.ended or known.installation is not installation:
                    if known is not None:
                        platform.app.bot_token = value = f"xoxb-{secrets.token_hex(12)}"
                    self._tokens[value] = Token(value, installation)
                return self._tokens[value], None
            token = Token(f"xoxe.xoxb-1-{secrets.token_hex(16)}", installation)
            token.expires_at = self.clock.now() + TOKEN_SECONDS
            refresh = Token(f"xoxe-1-{secrets.token_hex(16)}", installation, "refresh")
            self._tokens |= {token.value: token, refresh.value: refresh}
            self._limit_active(installation)
            return token, refresh

    def _limit_active(self, installation: Installation) -> None:
        active = [
            t for t in self._tokens.values() if t.installation is installation and t.kind == "bot" and not t.ended
        ]
        for oldest in active[:-ACTIVE_TOKENS]:
            oldest.ended = "token_revoked"

    def uninstall(self, installation: Installation) -> None:
        """Remove the app: every token of the installation ends."""
        with self._lock:
            self.installations.pop(installation.id, None)
            for token in self._tokens.values():
                if token.installation is installation:
                    token.ended = token.ended or "account_inactive"

    # -- tokens

    def revoke(self, token: Token) -> None:
        """End one token. Without rotation that ends the installation, too."""
        token.ended = "token_revoked"
        if not self.rotation:
            self.uninstall(token.installation)

    def find(self, value: str) -> Token | None:
        """A token by its value, also one that ended."""
        return self._tokens.get(value)

    def check(self, token: Token) -> None:
        """Raises SlackError unless the token can be used."""
        if token.ended:
            raise SlackError(token.ended)
        if token.expires_at is not None and self.clock.now() >= token.expires_at:
            raise SlackError("token_expired")
        if token.kind != "bot":
            raise SlackError("not_allowed_token_type")

    def find_workspace(self, token: str | None, given: Mapping[str, object]) -> "Platform | None":
        """The workspace that a call is about: that of the token; with the token of an Enterprise organization, the one
        that is named, or that has what is named.
        """
        found = self.find(token or "")
        if found is None or not found.installation.workspaces:
            return None
        if not found.installation.of_enterprise:
            return found.installation.workspaces[0]
        family = [one for one in self.workspaces if (one.workspace.enterprise or {}).get("id") == found.installation.id]
        named = next((one for one in family if one.has(given)), None)
        return named or found.installation.workspaces[0]

    # -- authorizations by people

    def find_problem(self, given: Mapping[str, str]) -> str | None:
        """Why Slack's page of authorization cannot be shown; None where it can."""
        if given.get("client_id") != self.client_id:
            return "invalid_client_id"
        redirect_uri = given.get("redirect_uri") or next(iter(self.redirect_urls), "")
        if not redirect_uri or not self._may_redirect(redirect_uri):
            return "bad_redirect_uri"
        return None if given.get("scope") else "invalid_scope"

    def _may_redirect(self, url: str) -> bool:
        """Whether a URL is one of the app's, or below one."""
        allowed = [*self.redirect_urls] or [url]
        return urlsplit(url).scheme in ("http", "https") and any(
            url == one or url.startswith(one.rstrip("/") + "/") for one in allowed
        )

    def allow(self, given: Mapping[str, str], user: User, platform: "Platform", *, for_enterprise: bool = False) -> str:
        """A person allows what the page asks for. Returns where their browser is sent."""
        if problem := self.find_problem(given):
            raise SandboxError(problem)
        redirect_uri = given.get("redirect_uri") or self.redirect_urls[0]
        code = f"{secrets.randbelow(10**12)}.{secrets.token_hex(24)}"
        with self._lock:
            self._codes[code] = _Code(
                user,
                platform,
                frozenset(given["scope"].split(",")),
                redirect_uri,
                self.clock.now() + CODE_SECONDS,
                for_enterprise,
            )
        return f"{redirect_uri}?{urlencode({'code': code, 'state': given.get('state', '')})}"

    def deny(self, given: Mapping[str, str]) -> str:
        """A person cancels. Returns where their browser is sent."""
        redirect_uri = given.get("redirect_uri") or self.redirect_urls[0]
        return f"{redirect_uri}?{urlencode({'error': 'access_denied', 'state': given.get('state', '')})}"

    def redeem(self, code: str, redirect_uri: str | None) -> Json:
        """The answer of oauth.v2.access to a code; raises SlackError."""
        with self._lock:
            found = self._codes.get(code)
            if found is None or self.clock.now() > found.expires_at:
                raise SlackError("invalid_code")
            if found.used:
                raise SlackError("code_already_used")
            if redirect_uri is not None and redirect_uri != found.redirect_uri:
                raise SlackError("bad_redirect_uri")
            found.used = True
            platform = found.workspace
            installation = self.install(platform, for_enterprise=found.for_enterprise)
            for one in installation.workspaces:
                one.app.scopes = found.scopes
            return self._answer(installation, platform) | {"authed_user": {"id": found.user.id}}

    def refresh(self, value: str) -> Json:
        """The answer of oauth.v2.access to a refresh token; raises SlackError."""
        with self._lock:
            used = self.find(value)
            if used is None or used.kind != "refresh" or used.ended:
                raise SlackError("invalid_refresh_token")
            if used.expires_at is not None and self.clock.now() > used.expires_at:
                raise SlackError("invalid_refresh_token")
            used.expires_at = used.expires_at or self.clock.now() + GRACE_SECONDS
            return self._answer(used.installation, used.installation.workspaces[0])

    def _answer(self, installation: Installation, platform: "Platform") -> Json:
        workspace, app = platform.workspace, platform.app
        token, refresh = self.issue(installation, platform)
        answer: Json = {
            "app_id": app.app_id,
            "scope": ",".join(sorted(app.scopes)),
            "token_type": "bot",
            "access_token": token.value,
            "bot_user_id": app.bot_user_id,
            "team": None if installation.of_enterprise else {"id": workspace.team_id, "name": workspace.name},
            "enterprise": workspace.enterprise,
            "is_enterprise_install": installation.of_enterprise,
        }
        if refresh is not None:
            answer |= {"refresh_token": refresh.value, "expires_in": TOKEN_SECONDS}
        return answer
