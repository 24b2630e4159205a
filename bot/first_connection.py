"""Connects to Slack with the credentials of the settings, until it answers."""

from __future__ import annotations

import threading

import structlog
from slack_sdk.errors import SlackApiError
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
)

from bot.metrics import SlackCallMetrics
from bot.settings import Settings, SettingsError
from bot.slack.backoff import Backoff, reason_of
from bot.slack.clients import Clients

log = structlog.get_logger(__name__)

# Backoff of the call that asks Slack for the token's workspace.
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
# Errors of Slack that a retry does not help: the token itself is wrong.
_BAD_TOKENS = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}
)


def connect(settings: Settings, stop: threading.Event, metrics: SlackCallMetrics) -> Clients | None:
    """Asks Slack for the token's workspace until it answers.

    Returns None if `stop` is set meanwhile. Raises SettingsError.
    """
    if settings.slack_bot_token is None:
        return Clients()  # those of the installations follow
    trying = Retrying(
        retry=retry_if_exception_type((SlackApiError, OSError)),
        wait=Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S),
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=_report_retry,
    )
    try:
        return trying(Clients.connect, settings.slack_bot_token.get_secret_value(), settings.slack_api_url, metrics)
    except RetryError:
        return None


def _report_retry(retry_state: RetryCallState) -> None:
    assert retry_state.outcome is not None and retry_state.next_action is not None
    error = retry_state.outcome.exception()
    check_token(error, "SLACK_BOT_TOKEN")
    next_try_s = round(retry_state.next_action.sleep, 1)
    log.warning("Slack cannot be reached yet", reason=reason_of(error), next_try_s=next_try_s)


def check_token(problem: BaseException | None, variable: str) -> None:
    """Raises SettingsError if Slack has refused the token itself."""
    if isinstance(problem, SlackApiError) and reason_of(problem) in _BAD_TOKENS:
        raise SettingsError(f"{variable}: Slack refuses this token ({reason_of(problem)})") from None
