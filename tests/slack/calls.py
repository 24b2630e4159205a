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


def spellings() -> dict[str, str]:
    """The SDK's methods, by their own names and by Slack's, each with Slack's: `users_info` -> `users.info`."""
    found = {}
    for name, method in inspect.getmembers(WebClient, inspect.isfunction):
        if name.startswith("_") or name == "api_call":
            continue
        for call in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(method)))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "api_call":
                called = call.args[0]
                assert isinstance(called, ast.Constant)
                found[name] = found[str(called.value)] = str(called.value)
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
            if name in known:
                found.setdefault(known[name], set()).add(str(path.relative_to(SOURCE)))
    return found
