"""The forms: what opens when a button needs words."""

from __future__ import annotations

from typing import Any

from bot.incidents.limits import MAX_COMMENT_LENGTH
from bot.incidents.markup import escape
from bot.messages.blocks import MAX_FORM_TITLE, MAX_INPUT_LABEL, Block, plain, section
from bot.messages.incident import title_of

Form = dict[str, Any]

COMMENT = "comment"  # the block and the element of every form's rich text field


def _form(callback_id: str, title: str, submit: str, origin: str, blocks: list[Block]) -> Form:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain(title, MAX_FORM_TITLE),
        "submit": plain(submit, MAX_FORM_TITLE),
        "close": plain("Cancel", MAX_FORM_TITLE),
        "private_metadata": origin,
        "blocks": blocks,
    }


def _rich_text(label: str, *, optional: bool, initial: dict[str, Any] | None = None) -> Block:
    element: dict[str, Any] = {"type": "rich_text_input", "action_id": COMMENT}
    if initial:
        element["initial_value"] = initial
    return {
        "type": "input",
        "block_id": COMMENT,
        "optional": optional,
        "label": plain(label, MAX_INPUT_LABEL),
        "hint": plain(
            f"Up to {MAX_COMMENT_LENGTH:,} characters. Mention a person or a team with @ and they are told.", 2000
        ),
        "element": element,
    }


def resolve(identifier: int, title: str, origin: str) -> Form:
    """Closes an incident, with a comment if there is one to make."""
    blocks = [section(title_of(identifier, title)), _rich_text("Comment", optional=True)]
    return _form("resolve", _titled("Resolve", identifier), "Resolve", origin, blocks)


def comment(identifier: int, title: str, origin: str) -> Form:
    """A new comment."""
    blocks = [section(title_of(identifier, title)), _rich_text("Comment", optional=False)]
    return _form("comment", _titled("Comment", identifier), "Comment", origin, blocks)


def edit_comment(identifier: int, title: str, content: dict[str, Any], origin: str) -> Form:
    """A comment, to change."""
    blocks = [
        section(title_of(identifier, title)),
        _rich_text("Comment", optional=False, initial=content),
    ]
    return _form("comment_edit", _titled("Edit", identifier), "Save", origin, blocks)


def _titled(verb: str, identifier: int) -> str:
    return f"{verb} #{identifier}"


def gone(sentence: str) -> Form:
    """What takes a form's place when there is nothing left to do in it."""
    return {
        "type": "modal",
        "title": plain("Tocsin", MAX_FORM_TITLE),
        "close": plain("Close", MAX_FORM_TITLE),
        "blocks": [section(escape(sentence))],
    }
