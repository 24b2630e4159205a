"""Puts the parts of installations by OAuth together."""

from __future__ import annotations

from fastapi import FastAPI

from bot.installations.completion import Completes, Completion
from bot.installations.invitations import Invitations
from bot.installations.oauth import InstallationFlow, OAuthCredentials, add_installation_routes
from bot.installations.registry import InstallationRegistry
from bot.installations.service import InstallationService
from bot.installations.tokens import TokenStore
from bot.metrics import SlackCallMetrics
from bot.slack.clients import Clients
from storage.engine import Store


class Installations:
    """The installations of one app in one process."""

    def __init__(
        self,
        store: Store,
        clients: Clients,
        credentials: OAuthCredentials,
        api_url: str,
        metrics: SlackCallMetrics | None = None,
    ) -> None:
        tokens = TokenStore(store, credentials.secret_keys)
        self.registry = InstallationRegistry(
            store,
            clients,
            tokens,
            api_url=api_url,
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            metrics=metrics,
        )
        self.service = InstallationService(
            store=store,
            tokens=tokens,
            invitations=Invitations(credentials.secret_keys),
            api_url=api_url,
            public_url=credentials.public_url,
            on_change=self.registry.read,
        )
        self.completion = Completion(store, tokens, api_url=api_url, on_change=self.registry.read)
        self._flow = InstallationFlow(store, credentials, tokens, self.completion, api_url=api_url, metrics=metrics)

    def complete_with(self, completion: Completes) -> None:
        """Has installations completed elsewhere than in this database alone."""
        self._flow.completion = completion

    def add_to(self, app: FastAPI) -> None:
        """Adds the routes of the installation to the HTTP application."""
        add_installation_routes(app, self._flow)
