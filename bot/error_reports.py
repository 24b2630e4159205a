"""Reports errors of the log to Sentry, where SENTRY_DSN is set. The SDK is an extra package, and loaded only then.

None of the SDK's integrations is used: they would send bodies of requests, local variables and breadcrumbs. What is
sent is a line of the log with its traceback, without secrets.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import structlog
from structlog.typing import EventDict

from bot import __version__
from bot.log import hide_secret_fields, redact
from bot.settings import Settings, SettingsError

_REPORTED = frozenset({"error", "exception", "critical"})
_FLUSH_S = 1.0  # a stop may take ten seconds in all


class ErrorReports:
    """Reports to Sentry from when it is made until `stop`."""

    def __init__(self, settings: Settings) -> None:
        """Starts to report, if SENTRY_DSN is set. Call it after the log is configured. Raises SettingsError."""
        self._sdk: Any = None
        if settings.sentry_dsn is None:
            return
        try:
            sdk = importlib.import_module("sentry_sdk")
        except ImportError:
            raise SettingsError(
                "SENTRY_DSN is set, and the package sentry-sdk is not installed: pip install sentry-sdk"
            ) from None
        secrets = settings.secrets
        sdk.init(
            dsn=settings.sentry_dsn.get_secret_value(),
            release=f"tocsin@{__version__}",
            environment=settings.sentry_environment,
            default_integrations=False,
            auto_enabling_integrations=False,
            send_default_pii=False,
            include_local_variables=False,
            max_breadcrumbs=0,
            before_send=lambda event, _hint: _redact(event, secrets),
        )
        self._sdk = sdk
        first, *others = structlog.get_config()["processors"]  # the first leaves out what is below the level
        structlog.configure(processors=[first, self._report, *others])

    def stop(self) -> None:
        """Sends what has been reported, within a second."""
        if self._sdk is not None:
            self._sdk.flush(_FLUSH_S)

    def _report(self, _logger: Any, method: str, event: EventDict) -> EventDict:
        """A structlog processor: reports an error, and passes the line on as it is."""
        if method in _REPORTED:
            fields = hide_secret_fields(None, method, {**structlog.contextvars.get_contextvars(), **event})
            error, message = fields.pop("exc_info", None), str(fields.pop("event", ""))
            with self._sdk.new_scope() as scope:
                scope.set_tag("request_id", fields.pop("request_id", None))
                scope.set_context("log", {"event": message, **fields})
                if method == "exception" or error:
                    scope.capture_exception(error if isinstance(error, BaseException) else None)
                else:
                    scope.capture_message(message, level="error")
        return event


def _redact(value: Any, secrets: Iterable[str]) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {key: _redact(one, secrets) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_redact(one, secrets) for one in value]
    return value
