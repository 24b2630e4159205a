"""Reads an app's manifest: scopes, subscriptions, and the commands and shortcuts in people's menus."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.errors import SandboxError
from sandbox.oauth import OAuth
from sandbox.records import App, Json

# The names of the two kinds of shortcuts in a manifest.
_SHORTCUTS = ("global", "message")


@dataclass(slots=True)
class Menu:
    """The commands and shortcuts in people's menus."""

    commands: list[Json] = field(default_factory=list)  # name (with its slash), description, hint
    shortcuts: list[Json] = field(default_factory=list)  # name, description, callback_id, type


def read(path: Path) -> Mapping[str, Any]:
    """Read a manifest from a JSON or YAML file; raises SandboxError."""
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise SandboxError(f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise SandboxError("is neither JSON nor YAML") from None
    if not isinstance(found, Mapping):
        raise SandboxError("is no manifest: it holds no object")
    return found


def install(app: App, oauth: OAuth, manifest: Mapping[str, Any]) -> Menu:
    """Give the app the scopes and subscriptions of its manifest, and return the menus; raises SandboxError.

    Source: docs.slack.dev/reference/app-manifest.
    """
    features = _part(manifest, "features")
    app.name = str(_part(manifest, "display_information").get("name") or app.name)
    if scopes := _part(_part(manifest, "oauth_config"), "scopes").get("bot"):
        app.scopes = frozenset(map(str, scopes))
    subscriptions = _part(_part(manifest, "settings"), "event_subscriptions")
    app.events = frozenset(map(str, subscriptions.get("bot_events") or ()))
    settings = _part(manifest, "settings")
    oauth.redirect_urls = list(map(str, _part(manifest, "oauth_config").get("redirect_urls") or ()))
    oauth.rotation = bool(settings.get("token_rotation_enabled"))
    oauth.org_deploy = bool(settings.get("org_deploy_enabled"))
    home = _part(features, "app_home")
    app.home_tab = bool(home.get("home_tab_enabled"))
    app.messages_tab = bool(home.get("messages_tab_enabled"))
    menu = Menu()
    for command in _entries(features, "slash_commands"):
        app.should_escape = bool(command.get("should_escape"))
        menu.commands.append(
            {
                "name": str(command.get("command", "")),
                "description": str(command.get("description", "")),
                "hint": str(command.get("usage_hint", "")),
            }
        )
    for shortcut in _entries(features, "shortcuts"):
        if shortcut.get("type") not in _SHORTCUTS:
            raise SandboxError("a shortcut of the manifest is neither of type global nor message")
        menu.shortcuts.append(
            {name: str(shortcut.get(name, "")) for name in ("name", "description", "callback_id", "type")}
        )
    return menu


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = of.get(name) or {}
    if not isinstance(part, Mapping):
        raise SandboxError(f"{name} of the manifest is no object")
    return part


def _entries(of: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = of.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise SandboxError(f"{name} of the manifest is no list of objects")
    return entries
