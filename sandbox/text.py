"""Converts what people type to Slack's format: mentions, channels, links and the three encoded characters, in
slash commands and messages, and the rich text of a message or a form field.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from sandbox.records import Json

if TYPE_CHECKING:
    from sandbox.workspace import Workspace


class Mentionable(Protocol):
    """A person, channel or user group that rich text can mention."""

    def rich_text_element(self) -> Json:
        """The element of a rich text section that mentions it."""
        ...


RichText = str | Sequence[str | Mentionable]
"""What a person puts into a rich text field: a text, or parts of text and mentions."""

# Typed text that Slack may recognize: an encoded token (pasted, or picked from the menu), a
# handle, a channel's name, a link.
_TYPED = re.compile(
    r"<(?P<token>[@#!][A-Za-z0-9^]+)(?:\|[^<>]*)?>"
    r"|(?<![\w@])@(?P<handle>[A-Za-z0-9][\w.-]*\w|[A-Za-z0-9])"
    r"|(?<![\w#&])#(?P<channel>[a-z0-9][\w-]*)"
    r"|(?P<url>https?://[^\s<>|]*[^\s<>|.,;:!?)\"'])"
)

_MARKS = {"code": "`", "strike": "~", "italic": "_", "bold": "*"}  # of mrkdwn, from the inside out
_BROADCASTS = ("here", "channel", "everyone")


def escape(text: str) -> str:
    """Encode the three characters that Slack encodes in every text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _parts(typed: str, workspace: "Workspace", *, resolve: bool) -> Iterable[tuple[str, str, str]]:
    """Split typed text into (kind, id or text, name): kinds are text, user, usergroup, channel,
    broadcast, link.
    """
    end = 0
    for match in _TYPED.finditer(typed):
        part = _recognise(match, workspace, resolve=resolve)
        if part is None:
            continue
        if match.start() > end:
            yield "text", typed[end : match.start()], ""
        yield part
        end = match.end()
    if end < len(typed):
        yield "text", typed[end:], ""


def _recognise(match: re.Match[str], workspace: "Workspace", *, resolve: bool) -> tuple[str, str, str] | None:
    if url := match["url"]:
        return "link", url, ""
    if token := match["token"]:
        return _of_token(token[0], token[1:], workspace)
    if not resolve:
        return None
    if name := match["channel"]:
        channel = next((c for c in workspace.channels.values() if c.name == name and not c.is_im), None)
        return ("channel", channel.id, name) if channel else None
    return _of_handle(match["handle"], workspace)


def _of_token(kind: str, key: str, workspace: "Workspace") -> tuple[str, str, str] | None:
    """The object that `<@U…>`, `<#C…>`, `<!subteam^S…>` or `<!here>` mentions."""
    if kind == "@" and key in workspace.users:
        return "user", key, workspace.users[key].name
    if kind == "#" and key in workspace.channels:
        return "channel", key, workspace.channels[key].name
    if kind == "!" and (group := workspace.usergroups.get(key.removeprefix("subteam^"))):
        return "usergroup", group.id, group.handle
    if kind == "!" and key in _BROADCASTS:
        return "broadcast", key, key
    return None


def _of_handle(handle: str, workspace: "Workspace") -> tuple[str, str, str] | None:
    """The object that `@handle` mentions: everybody, a person, or a user group."""
    if handle in _BROADCASTS:
        return "broadcast", handle, handle
    if user := next((u for u in workspace.users.values() if u.name == handle and not u.deleted), None):
        return "user", user.id, user.name
    group = next((g for g in workspace.usergroups.values() if g.handle == handle), None)
    return ("usergroup", group.id, group.handle) if group else None


def command_text(typed: str, workspace: "Workspace", *, resolve: bool = True) -> str:
    """The `text` of a slash command for the text typed after its name.

    With the app's `should_escape`, mentions arrive as `<@U…|name>`, `<!subteam^S…|@handle>`, `<#C…|name>`
    and links in angle brackets. `resolve=False` leaves `@name` as typed, as Slack does when no person
    was picked from its menu.
    """
    if not workspace.app.should_escape:
        return escape(typed)
    written = []
    for kind, key, name in _parts(typed, workspace, resolve=resolve):
        if kind == "text":
            written.append(escape(key))
        elif kind == "link":
            written.append(f"<{escape(key)}>")
        elif kind == "user":
            written.append(f"<@{key}|{name}>")
        elif kind == "channel":
            written.append(f"<#{key}|{name}>")
        elif kind == "usergroup":
            written.append(f"<!subteam^{key}|@{name}>")
        else:
            written.append(f"<!{key}>")
    return "".join(written)


def message_text(typed: str, workspace: "Workspace", *, resolve: bool = True) -> tuple[str, list[Json]]:
    """The `text` and the `blocks` (one rich_text block) of a message that a person typed."""
    written = []
    elements: list[Json] = []
    for kind, key, name in _parts(typed, workspace, resolve=resolve):
        if kind == "text":
            written.append(escape(key))
            elements.append({"type": "text", "text": key})
        elif kind == "link":
            written.append(f"<{escape(key)}>")
            elements.append({"type": "link", "url": key})
        elif kind == "user":
            written.append(f"<@{key}>")
            elements.append({"type": "user", "user_id": key})
        elif kind == "channel":
            written.append(f"<#{key}|{name}>")
            elements.append({"type": "channel", "channel_id": key})
        elif kind == "usergroup":
            written.append(f"<!subteam^{key}|@{name}>")
            elements.append({"type": "usergroup", "usergroup_id": key})
        else:
            written.append(f"<!{key}>")
            elements.append({"type": "broadcast", "range": key})
    return "".join(written), [rich_text_block(elements) | {"block_id": secrets.token_urlsafe(4)[:5]}]


def rich_message(block: Json, workspace: "Workspace") -> tuple[str, list[Json]]:
    """The `text` and the `blocks` of a message that a person wrote with formatting such as bold text and lists.

    `block` is a rich_text block. See github.com/slack-go/slack/pull/1155 for a list as Slack sends it.
    """
    written = []
    for element in block["elements"]:
        if element["type"] == "rich_text_list":
            ordered = element["style"] == "ordered"
            for number, item in enumerate(element["elements"], element.get("offset", 0) + 1):
                sign = f"{number}." if ordered else "\u2022"
                indent = "    " * element.get("indent", 0)
                written.append(f"{indent}{sign} {_leaves(item['elements'], workspace)}\n")
            continue
        leaves = _leaves(element["elements"], workspace)
        if element["type"] == "rich_text_quote":
            leaves = "".join(f"&gt; {line}\n" for line in leaves.split("\n"))
        elif element["type"] == "rich_text_preformatted":
            leaves = f"```{leaves}```\n"
        elif element is not block["elements"][-1] and not leaves.endswith("\n"):
            leaves += "\n"
        written.append(leaves)
    return "".join(written), [block | {"block_id": secrets.token_urlsafe(4)[:5]}]


def _leaves(elements: Sequence[Json], workspace: "Workspace") -> str:
    return "".join(_leaf(element, workspace) for element in elements)


def _leaf(element: Json, workspace: "Workspace") -> str:
    match element["type"]:
        case "user":
            return f"<@{element['user_id']}>"
        case "usergroup":
            group = workspace.usergroups.get(element["usergroup_id"])
            return f"<!subteam^{element['usergroup_id']}{f'|@{group.handle}' if group else ''}>"
        case "channel":
            channel = workspace.channels.get(element["channel_id"])
            return f"<#{element['channel_id']}|{channel.name if channel else ''}>"
        case "broadcast":
            return f"<!{element['range']}>"
        case "emoji":
            return f":{element['name']}:"
        case "link":
            label = element.get("text")
            written = f"<{escape(element['url'])}{f'|{escape(label)}' if label else ''}>"
        case _:
            written = escape(str(element.get("text") or element.get("fallback") or ""))
    for name, mark in _MARKS.items():
        if element.get("style", {}).get(name) and written.strip():
            written = f"{mark}{written}{mark}"
    return written


def rich_text_block(elements: list[Json]) -> Json:
    """A rich_text block of one section."""
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def rich_text_value(written: RichText, workspace: "Workspace") -> Json:
    """The value of a rich text field after a person wrote `written` into it; handles in a plain text become
    mentions.
    """
    if isinstance(written, str):
        _, blocks = message_text(written, workspace)
        return {"type": "rich_text", "elements": blocks[0]["elements"]}
    elements: list[Json] = []
    for part in written:
        elements.append({"type": "text", "text": part} if isinstance(part, str) else part.rich_text_element())
    return rich_text_block(elements)
