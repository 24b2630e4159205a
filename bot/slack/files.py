"""Files of messages, and the upload of pictures.

Only the bot can see a file that is shared nowhere. A message with the file in an image block shares it with the readers
of the message. Slack processes a file after its upload is complete, and until then refuses messages with it
(`invalid_blocks`). So the upload waits until Slack reports the type of the file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.slack.transport import post

log = structlog.get_logger(__name__)

# How long Slack may take to process a picture. Usually it takes one or two seconds.
PROCESSING_TIMEOUT_S = 10.0
UPLOAD_TIMEOUT_S = 5.0
MAX_ALT = 1000  # characters
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 2.0

# Slack's errors for a file that the bot will not see later either.
_HIDDEN = frozenset(
    {"file_not_found", "file_deleted", "not_visible", "access_denied", "no_permission", "missing_scope"}
)


class FileHidden(Exception):
    """The bot may not see a file."""


def get_file(client: WebClient, file_id: str) -> Mapping[str, Any]:
    """Slack's file object. Raises FileHidden, and OSError where Slack cannot answer for now."""
    try:
        found: Mapping[str, Any] = client.files_info(file=file_id)["file"]
    except SlackApiError as error:
        reason = str(error.response.get("error"))
        if reason not in _HIDDEN:
            raise OSError(f"files.info: {reason}") from error
        log.info("a file is not shown to the bot", reason=reason)
        raise FileHidden from error
    return found


class PictureFailed(Exception):
    """A picture could not be uploaded, or was not processed in time."""


def upload_picture(
    client: WebClient,
    png: bytes,
    *,
    name: str,
    title: str,
    alt: str,
    stopping: threading.Event,
    patience_s: float = PROCESSING_TIMEOUT_S,
) -> str:
    """Uploads a PNG and returns its file id once it can be shown. `stopping` ends the wait early.

    Raises PictureFailed.
    """
    try:
        ticket = client.files_getUploadURLExternal(filename=name, length=len(png), alt_txt=alt[:MAX_ALT])
        file_id = str(ticket["file_id"])
        uploaded = post(str(ticket["upload_url"]), png, {"Content-Type": "image/png"}, timeout_s=UPLOAD_TIMEOUT_S)
        if uploaded.status != 200:
            raise PictureFailed(f"its upload was answered with HTTP {uploaded.status}")
        client.files_completeUploadExternal(files=[{"id": file_id, "title": title}])
        deadline = time.monotonic() + patience_s
        wait = _FIRST_WAIT_S
        while not str(client.files_info(file=file_id)["file"].get("mimetype") or "").startswith("image/"):
            if time.monotonic() + wait > deadline:
                raise PictureFailed(f"Slack has not processed it within {patience_s:g} s")
            if stopping.wait(wait):
                raise PictureFailed("the bot is stopping")
            wait = min(wait * 1.6, _LONGEST_WAIT_S)
    except SlackApiError as error:
        raise PictureFailed(str(error.response.get("error"))) from error
    except (SlackClientError, OSError, KeyError, ValueError) as error:
        raise PictureFailed(f"{type(error).__name__}: {error}") from error
    return file_id
