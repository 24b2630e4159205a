"""Pictures to be shown in messages: uploaded, and waited for until Slack has looked at them.

A file that was not shared anywhere is seen by nobody but the bot; the message that shows it in an image block
shares it with who reads that. Slack processes an upload after it has said that it is complete, and refuses a
message with a file that it has not looked at (`invalid_blocks`), so this waits until the file has a type.
"""

from __future__ import annotations

import threading
import time
from urllib.request import Request, urlopen

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

# How long Slack may take over a picture. Usually it takes one or two seconds.
PATIENCE_S = 10.0
MAX_ALT = 1000  # characters
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 2.0


class NoPicture(Exception):
    """A picture could not be uploaded, or was not processed in time."""


def upload_picture(
    client: WebClient,
    png: bytes,
    *,
    name: str,
    title: str,
    alt: str,
    stopping: threading.Event,
    patience_s: float = PATIENCE_S,
) -> str:
    """Uploads a PNG and returns its file id once it can be shown. `stopping` ends the wait early.

    Raises NoPicture.
    """
    try:
        ticket = client.files_getUploadURLExternal(filename=name, length=len(png), alt_txt=alt[:MAX_ALT])
        file_id = str(ticket["file_id"])
        with urlopen(Request(str(ticket["upload_url"]), png, method="POST"), timeout=client.timeout):
            pass  # anything but a 2xx has raised
        client.files_completeUploadExternal(files=[{"id": file_id, "title": title}])
        deadline = time.monotonic() + patience_s
        wait = _FIRST_WAIT_S
        while not str(client.files_info(file=file_id)["file"].get("mimetype") or "").startswith("image/"):
            if time.monotonic() + wait > deadline:
                raise NoPicture(f"Slack has not processed it within {patience_s:g} s")
            if stopping.wait(wait):
                raise NoPicture("the bot is stopping")
            wait = min(wait * 1.6, _LONGEST_WAIT_S)
    except SlackApiError as error:
        raise NoPicture(str(error.response.get("error"))) from error
    except (SlackClientError, OSError, KeyError, ValueError) as error:
        raise NoPicture(f"{type(error).__name__}: {error}") from error
    return file_id
