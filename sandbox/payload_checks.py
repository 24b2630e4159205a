"""Checks whether Slack would accept a message, a form or a response. Turns the problems that `block_kit` finds
into SlackErrors, with Slack's error names and `response_metadata.messages`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox import block_kit
from sandbox.errors import SlackError
from sandbox.records import Json

TEXT_LIMIT = 40_000
VIEW_BYTES_LIMIT = 250_000
ATTACHMENTS_LIMIT = 100


def require_message(payload: Mapping[str, Any], *, ephemeral: bool = False, text_limit: int = TEXT_LIMIT) -> None:
    """Raises SlackError `no_text`, `msg_too_long`, `too_many_attachments`, `invalid_blocks_format`,
    `invalid_blocks`, `invalid_attachments` or `invalid_metadata_format`.
    """
    text, blocks, attachments = payload.get("text"), payload.get("blocks"), payload.get("attachments")
    if blocks is not None and not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    if attachments is not None and not isinstance(attachments, list):
        raise SlackError("invalid_attachments")
    if not text and not blocks and not attachments:
        raise SlackError("no_text")
    if text is not None and len(str(text)) > text_limit:
        raise SlackError("msg_too_long")
    if attachments and len(attachments) > ATTACHMENTS_LIMIT:
        raise SlackError("too_many_attachments")
    problems = block_kit.check_message(payload, ephemeral=ephemeral)
    for field, error in (
        ("/metadata", "invalid_metadata_format"),
        ("/blocks", "invalid_blocks"),
        ("/attachments", "invalid_attachments"),
        ("", "invalid_arguments"),
    ):
        refuse(error, [problem for problem in problems if problem.pointer.startswith(field)])


def require_view(view: Any) -> Json:
    """Returns the view as an object; raises SlackError `invalid_arguments` or `view_too_large`."""
    if not isinstance(view, dict):
        raise SlackError("invalid_arguments", messages=["[ERROR] must provide an object [json-pointer:/view]"])
    if len(json.dumps(view).encode()) > VIEW_BYTES_LIMIT:
        raise SlackError("view_too_large")
    refuse("invalid_arguments", block_kit.check_view(view))
    return view


def require_options(answer: Mapping[str, Any]) -> None:
    """Check the response to a `block_suggestion`; raises SlackError `invalid_options`."""
    refuse("invalid_options", block_kit.check_options(answer))


def require_submission_answer(answer: Mapping[str, Any], view: Mapping[str, Any]) -> None:
    """Check the response to a `view_submission`; raises SlackError `invalid_response_action`."""
    refuse("invalid_response_action", block_kit.check_view_submission_response(answer, view))


def refuse(error: str, problems: Sequence[block_kit.Problem]) -> None:
    """Raises SlackError `error` with the lines of `problems`, if there are any."""
    if problems:
        messages = [str(problem) for problem in problems]
        raise SlackError(error, messages=messages, errors=[message.removeprefix("[ERROR] ") for message in messages])
