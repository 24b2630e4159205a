"""Which methods of Slack's Web API the bot's source calls, read from the source itself.

Found are the calls of the SDK's methods (`client.users_info(…)`) and every string that is the name of one in either
spelling (`"views_open"` for `getattr`, `"chat.update"` for `api_call`): a method that is named is one that is used.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

from slack_sdk import WebClient

import bot

SOURCE = Path(bot.__file__).parent
# The demo plays the people and the workspace too, and the manifest is what is held against the rest.
_NOT_THE_BOT = (SOURCE / "demo", SOURCE / "slack" / "manifest.py")


def spellings() -> dict[str, set[str]]:
    """The SDK's methods, by their own names and by Slack's, each with Slack's methods that it calls.

    `users_info` and `users.info` call `users.info`; `files_upload_v2` calls two others of the SDK's.
    """
    methods = {
        name: ast.parse(textwrap.dedent(inspect.getsource(method)))
        for name, method in inspect.getmembers(WebClient, inspect.isfunction)
        if not name.startswith("_") and name != "api_call"
    }
    found: dict[str, set[str]] = {}
    others: dict[str, set[str]] = {}
    for name, source in methods.items():
        for call in ast.walk(source):
            match call:
                case ast.Call(func=ast.Attribute(attr="api_call"), args=[ast.Constant(value=str(method)), *_]):
                    found.setdefault(name, set()).add(method)
                    found[method] = {method}
                case ast.Call(func=ast.Attribute(attr=other)) if other in methods and other != name:
                    others.setdefault(name, set()).add(other)
    for name, called_ in others.items():
        found.setdefault(name, set()).update(*(found.get(other, set()) for other in called_))
    return found


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """The bot's source files, parsed."""
    for path in sorted(SOURCE.rglob("*.py")):
        if not any(path.is_relative_to(other) for other in _NOT_THE_BOT):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def called() -> dict[str, set[str]]:
    """Slack's methods that the bot calls, each with the files that do."""
    known = spellings()
    found: dict[str, set[str]] = {}
    for path, module in modules():
        for node in ast.walk(module):
            match node:
                case ast.Call(func=ast.Attribute(attr=name)):
                    pass
                case ast.Constant(value=str(name)):
                    pass
                case _:
                    continue
            for method in known.get(name, ()):
                found.setdefault(method, set()).add(str(path.relative_to(SOURCE)))
    return found
