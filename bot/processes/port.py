"""The HTTP port of the settings."""

from __future__ import annotations

import socket

from bot.listening import open_listening_socket
from bot.settings import Settings, SettingsError


def open_port(settings: Settings) -> socket.socket:
    """Listens on HTTP_HOST and HTTP_PORT. Raises SettingsError if that cannot be done."""
    try:
        return open_listening_socket(settings.http_host, settings.http_port)
    except OSError as error:
        address = f"{settings.http_host}:{settings.http_port}"
        raise SettingsError(f"HTTP_HOST, HTTP_PORT: {address} cannot be used: {error.strerror or error}") from None
