"""`/slack/install` and `/slack/oauth_redirect`: Bolt's OAuth flow, with stores and pages of our own.

A stranger can call both. Bolt checks cookie and state; what Slack answers to the code decides which workspace it is,
and who has installed. Nothing is stored before all is checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import structlog
from fastapi import FastAPI, Request, Response
from slack_bolt import BoltRequest, BoltResponse
from slack_bolt.error import BoltError
from slack_bolt.oauth import OAuthFlow
from slack_bolt.oauth.callback_options import CallbackOptions, FailureArgs, SuccessArgs
from slack_bolt.oauth.oauth_settings import OAuthSettings
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth import AuthorizeUrlGenerator, OAuthStateUtils
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.web import SlackResponse

from bot.installations import pages
from bot.installations.completion import Completes, NotInstallable
from bot.installations.invitations import Invitation, Invitations, StateStore
from bot.installations.tokens import TokenStore
from bot.metrics import SlackCallMetrics
from bot.slack.backoff import reason_of
from bot.slack.bolt_environment import without_variables
from bot.slack.clients import web_client
from bot.slack.manifest import INSTALL_PATH, REDIRECT_PATH, SCOPES
from storage.engine import Store
from storage.errors import Contended, DatabaseAway

log = structlog.get_logger(__name__)

AT_ONCE = 4  # requests; each waits for Slack a few times
WAITING = 40  # requests; more are refused
_COOKIE = "tocsin-oauth-state"
_STATE_S = 600
_TEAM = re.compile(r"[TE][A-Z0-9]{1,30}")
_LONGEST_VALUE = 4000  # characters of a query value; Slack's codes and our states have some hundred


@dataclass(frozen=True, slots=True)
class OAuthCredentials:
    """The app at Slack, and where Slack sends the browser back to."""

    client_id: str
    client_secret: str
    secret_keys: str
    public_url: str | None  # None: to the first redirect URL of the app


class _StateCookie(OAuthStateUtils):
    """The cookie that ties a state to the browser in which the installation was begun."""

    def build_set_cookie_for_new_state(self, state: str) -> str:
        return super().build_set_cookie_for_new_state(state) + "; SameSite=Lax"

    def build_set_cookie_for_deletion(self) -> str:
        return super().build_set_cookie_for_deletion() + "; SameSite=Lax"


class InstallationFlow(OAuthFlow):
    """Bolt's flow. What Slack answers is checked by `Completion` before it is stored."""

    def __init__(
        self,
        store: Store,
        credentials: OAuthCredentials,
        tokens: TokenStore,
        completion: Completes,
        *,
        api_url: str,
        metrics: SlackCallMetrics | None = None,
    ) -> None:
        self._store = store
        self.completion = completion
        self._states = StateStore(store, credentials.secret_keys)
        self._invitations = Invitations(credentials.secret_keys)
        cookie = _StateCookie(cookie_name=_COOKIE, expiration_seconds=_STATE_S)
        with without_variables():
            settings = OAuthSettings(
                client_id=credentials.client_id,
                client_secret=credentials.client_secret,
                scopes=sorted(SCOPES),
                user_scopes=[],
                redirect_uri=credentials.public_url + REDIRECT_PATH if credentials.public_url else None,
                install_path=INSTALL_PATH,
                redirect_uri_path=REDIRECT_PATH,
                installation_store=tokens,
                state_store=self._states,
                callback_options=CallbackOptions(success=self._succeed, failure=self._fail),
            )
        settings.state_utils = cookie
        parts = urlsplit(api_url)
        settings.authorize_url_generator = AuthorizeUrlGenerator(
            client_id=credentials.client_id,
            redirect_uri=settings.redirect_uri,
            scopes=settings.scopes,
            authorization_url=f"{parts.scheme}://{parts.netloc}/oauth/v2/authorize",
        )
        super().__init__(client=web_client(api_url, metrics=metrics), settings=settings)

    # --- the beginning ---------------------------------------------------------------------------------------

    def handle_installation(self, request: BoltRequest) -> BoltResponse:
        """The page that leads to Slack. Raises DatabaseAway."""
        word = _get(request, "invitation")
        request.context["invitation"] = invitation = self._find_invitation(word)
        if word and invitation is None:
            return self._render_failure(400, "invalid_invitation")
        return super().handle_installation(request)

    def _find_invitation(self, word: str) -> tuple[Invitation, str] | None:
        """The invitation of a link and the name of its organization; None if it is none, or counts no more."""
        invitation = self._invitations.read(word, self._store.clock.now()) if word else None
        name = self.completion.find_inviting_organization(invitation) if invitation else None
        return (invitation, name) if invitation and name is not None else None

    def issue_new_state(self, request: BoltRequest) -> str:
        return self._states.issue(_get(request, "invitation"))

    def build_authorize_url(self, state: str, request: BoltRequest) -> str:
        team = _get(request, "team")  # a client's value, which goes into a URL
        return self.settings.authorize_url_generator.generate(state, team if _TEAM.fullmatch(team) else None)

    def build_install_page_html(self, url: str, request: BoltRequest) -> str:
        invited = request.context.get("invitation")
        return pages.render_start(url, invited[1] if invited else None)

    def append_set_cookie_headers(
        self, headers: dict[str, str | Sequence[str]], set_cookie_value: str | None
    ) -> dict[str, str | Sequence[str]]:
        return {**headers, **pages.HEADERS, **({"Set-Cookie": [set_cookie_value]} if set_cookie_value else {})}

    # --- the end ---------------------------------------------------------------------------------------------

    def handle_callback(self, request: BoltRequest) -> BoltResponse:
        """Completes an installation. Raises DatabaseAway, Contended, OSError."""
        word = self._states.get_invitation(_get(request, "state"))
        request.context["invited"] = bool(word)
        request.context["invitation"] = self._find_invitation(word)
        try:
            return super().handle_callback(request)
        except NotInstallable as refusal:
            log.warning("an installation was refused", reason=refusal.reason, installation=refusal.installation_id)
            return self._render_failure(403, refusal.reason)

    def run_installation(self, code: str) -> Installation | None:
        """What Slack answers to a code; None if it refuses the code. Raises OSError."""
        try:
            answer = self.client.oauth_v2_access(
                code=code,
                client_id=self.settings.client_id,
                client_secret=self.settings.client_secret,
                redirect_uri=self.settings.redirect_uri,
            )
        except SlackApiError as error:
            if error.response.status_code != HTTPStatus.OK:
                raise ConnectionError(f"HTTP {error.response.status_code}") from error
            log.warning("Slack did not accept the code of an installation", reason=reason_of(error))
            return None
        return self._read_answer(answer)

    def _read_answer(self, answer: SlackResponse) -> Installation | None:
        token = answer.get("access_token")
        if answer.get("token_type") != "bot" or not token:
            log.warning("Slack's answer to an installation has no token of a bot")
            return None
        try:
            bot = self.client.auth_test(token=token)
        except SlackApiError as error:
            log.warning("the token of an installation does not work", reason=reason_of(error))
            return None
        enterprise: Mapping[str, str] = answer.get("enterprise") or {}
        team: Mapping[str, str] = answer.get("team") or {}
        return Installation(
            app_id=answer.get("app_id"),
            enterprise_id=enterprise.get("id"),
            enterprise_name=enterprise.get("name"),
            enterprise_url=bot.get("url"),
            team_id=team.get("id"),
            team_name=team.get("name"),
            bot_token=token,
            bot_id=bot.get("bot_id"),
            bot_user_id=answer.get("bot_user_id"),
            bot_scopes=answer.get("scope") or "",
            bot_refresh_token=answer.get("refresh_token"),
            bot_token_expires_at=self._compute_end(answer.get("expires_in")),
            user_id=str((answer.get("authed_user") or {}).get("id") or ""),
            is_enterprise_install=bool(answer.get("is_enterprise_install")),
            token_type="bot",
        )

    def _compute_end(self, expires_in: int | None) -> int | None:
        """When a token ends, in seconds since 1970; None for one that does not."""
        return int(self._store.clock.now().timestamp()) + int(expires_in) if expires_in else None

    def store_installation(self, request: BoltRequest, installation: Installation) -> None:
        """Checks and stores an installation. Raises NotInstallable, BoltError, OSError."""
        invited = request.context["invitation"]
        if request.context["invited"] and invited is None:
            raise NotInstallable("invalid_invitation", installation.team_id)
        try:
            request.context["waits"] = self.completion.complete(installation, invited[0] if invited else None)
        except (DatabaseAway, Contended) as error:
            raise BoltError(str(error)) from error

    # --- pages -----------------------------------------------------------------------------------------------

    def _succeed(self, arguments: SuccessArgs) -> BoltResponse:
        context, installation = arguments.request.context, arguments.installation
        name = installation.enterprise_name if installation.is_enterprise_install else installation.team_name
        invited = context["invitation"]
        page = pages.render_success(name or "Slack", invited[1] if invited else None, waits=context["waits"])
        return self._render(200, page)

    def _fail(self, arguments: FailureArgs) -> BoltResponse:
        reason = arguments.reason
        log.warning("an installation failed", reason=reason if reason in pages.FAILURES else "an error of Slack")
        status = 400 if arguments.suggested_status_code == 401 else arguments.suggested_status_code
        return self._render_failure(status, reason)

    def _render_failure(self, status: int, reason: str) -> BoltResponse:
        return self._render(status, pages.render_failure(reason))

    def _render(self, status: int, page: str) -> BoltResponse:
        gone = [self.settings.state_utils.build_set_cookie_for_deletion()]
        return BoltResponse(status=status, body=page, headers={**pages.HEADERS, "Set-Cookie": gone})


def _get(request: BoltRequest, name: str) -> str:
    """A value of the query; empty where it is missing, or too long for one."""
    value = str(next(iter(request.query.get(name) or []), ""))
    return value if len(value) <= _LONGEST_VALUE else ""


def add_installation_routes(app: FastAPI, flow: InstallationFlow) -> None:
    """Adds the two routes to the HTTP application."""
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def answer(request: Request, *, completes: bool) -> Response:
        if limiter.statistics().tasks_waiting >= WAITING:
            return Response(pages.render_failure("busy"), 503, pages.HEADERS)
        query = request.url.query
        headers: dict[str, str | Sequence[str]] = {name: [value] for name, value in request.headers.items()}
        return await anyio.to_thread.run_sync(
            partial(_carry_out, flow, query, headers, completes=completes), limiter=limiter
        )

    @app.get(INSTALL_PATH, include_in_schema=False)
    async def install(request: Request) -> Response:
        return await answer(request, completes=False)

    @app.get(REDIRECT_PATH, include_in_schema=False)
    async def oauth_redirect(request: Request) -> Response:
        return await answer(request, completes=True)


def _carry_out(
    flow: InstallationFlow, query: str, headers: dict[str, str | Sequence[str]], *, completes: bool
) -> Response:
    try:
        request = BoltRequest(mode="http", body="", query=query, headers=headers)
        response = flow.handle_callback(request) if completes else flow.handle_installation(request)
    except (DatabaseAway, Contended):
        return Response(pages.render_failure("storage_error"), 503, pages.HEADERS)
    except OSError as error:
        log.warning("Slack could not be reached for an installation", error=str(error))
        return Response(pages.render_failure("slack_away"), 503, pages.HEADERS)
    except Exception:
        log.exception("unexpected error in an installation")
        return Response(pages.render_failure("storage_error"), 500, pages.HEADERS)
    made = Response(response.body, response.status)
    for name, values in response.headers.items():
        for value in values:
            made.headers.append(name, value)
    return made
