"""Events about the installation of the app: it was removed, or an Enterprise organization gives or takes workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog

from bot.handlers.context import Services
from bot.handlers.verb import Feature
from bot.installations.service import StillUnknown
from bot.slack.requests import Event
from bot.slack.responses import Done, Response, RetryLater

log = structlog.get_logger(__name__)


def handle_uninstalled(services: Services, event: Event, now: datetime) -> Response:
    """`app_uninstalled`: nothing is sent any more, and everything is kept."""
    service, installation_id = services.installations, event.installation_id
    if service is None or installation_id is None:
        return Done()
    try:
        service.end(installation_id, event.kind, now)
    except StillUnknown as error:
        log.warning("Slack could not be asked whether the app was removed", kind=event.kind, error=str(error))
        return RetryLater()
    return Done()


def handle_tokens_revoked(services: Services, event: Event, now: datetime) -> Response:
    """`tokens_revoked`: the same, where it concerns the bot and not only people."""
    tokens = event.event.get("tokens")
    concerns_bot = isinstance(tokens, dict) and bool(tokens.get("bot"))
    return handle_uninstalled(services, event, now) if concerns_bot else Done()


def handle_granted(services: Services, event: Event, now: datetime) -> Response:
    """`team_access_granted`: the app may be used in more workspaces of an Enterprise organization."""
    if services.installations is not None and event.enterprise_id is not None:
        services.installations.grant(event.enterprise_id, _read_workspaces(event), now)
    return Done()


def handle_revoked(services: Services, event: Event, now: datetime) -> Response:
    """`team_access_revoked`: it may not be used in some of them any more."""
    if services.installations is not None and event.enterprise_id is not None:
        services.installations.withdraw(event.enterprise_id, _read_workspaces(event), now)
    return Done()


def _read_workspaces(event: Event) -> Sequence[str]:
    given = event.event.get("team_ids")
    return [one for one in given if isinstance(one, str) and one.startswith("T")] if isinstance(given, list) else []


HANDLES = (
    Feature(
        events={
            "app_uninstalled": handle_uninstalled,
            "tokens_revoked": handle_tokens_revoked,
            "team_access_granted": handle_granted,
            "team_access_revoked": handle_revoked,
        }
    ),
)
