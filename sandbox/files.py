"""Files: the ticket for an upload, the bytes, the time that Slack takes to process them, and where they are
shared.
"""

import mimetypes
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sandbox.errors import SlackError
from sandbox.records import Channel, Json, User
from sandbox.workspace import Workspace

# How long Slack usually takes to process a file, in seconds of the workspace's clock.
PROCESSING_SECONDS = 0.5


@dataclass(slots=True, eq=False)
class File:
    """One file, from the time its ticket was issued."""

    id: str
    name: str
    title: str
    user: User
    ticket: str
    created: int
    alt_text: str = ""
    content: bytes | None = None
    completed_at: float | None = None  # when the upload was completed; None: not yet
    deleted: bool = False
    shares: dict[str, list[str]] = field(default_factory=dict)  # the time stamps of its messages, by channel id


class Files:
    """The files of the workspace. Called with the workspace's lock held."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._by_id: dict[str, File] = {}
        self.processing_seconds = PROCESSING_SECONDS
        self.base = ""

    def ticket(self, name: str, user: User, alt_text: str = "") -> tuple[File, str]:
        """A new file, and the URL to upload its bytes to."""
        # The name is shown and used in URLs: of a path, only the last part is used.
        clean = PurePosixPath(name.replace("\\", "/")).name or "file"
        file = File(
            id="F" + secrets.token_hex(5).upper(),
            name=clean,
            title=clean,
            user=user,
            ticket=secrets.token_urlsafe(24),
            created=int(self._workspace.clock.now()),
            alt_text=alt_text,
        )
        self._by_id[file.id] = file
        return file, f"{self.base}/upload/v1/{file.ticket}"

    def receive(self, ticket: str, content: bytes) -> File:
        """Store the bytes of an upload; raises SlackError `invalid_upload` for an unknown or used
        ticket.
        """
        file = next((f for f in self._by_id.values() if f.ticket == ticket and f.content is None), None)
        if file is None:
            raise SlackError("invalid_upload")
        file.content = content
        return file

    def complete(self, file_id: str, title: str | None) -> File:
        """Add an uploaded file to the workspace; raises SlackError `file_not_found`."""
        file = self._by_id.get(file_id)
        if file is None or file.content is None or file.deleted or file.completed_at is not None:
            raise SlackError("file_not_found")
        file.title = title or file.name
        file.completed_at = self._workspace.clock.now()
        return file

    def __contains__(self, file_id: object) -> bool:
        return file_id in self._by_id

    def find(self, file_id: str) -> File:
        """A file by id; raises SlackError `file_not_found`, `file_deleted`."""
        file = self._by_id.get(file_id)
        if file is None or file.completed_at is None:
            raise SlackError("file_not_found")
        if file.deleted:
            raise SlackError("file_deleted")
        return file

    def all(self) -> list[File]:
        """Every file, the deleted ones too."""
        return list(self._by_id.values())

    def restore(self, file: File) -> None:
        """Restore a saved file."""
        self._by_id[file.id] = file

    def processed(self, file: File) -> bool:
        """Whether Slack has processed the file by now."""
        done = file.completed_at
        return done is not None and self._workspace.clock.now() >= done + self.processing_seconds

    def share(self, files: Sequence[File], channel: Channel, ts: str) -> None:
        """Record that a message shows these files."""
        for file in files:
            file.shares.setdefault(channel.id, []).append(ts)

    def render(self, file: File) -> Json:
        """The `file` object. Fields that Slack fills in by processing the file are empty until then."""
        known = self.processed(file)
        kind, mime = _kind(file.name) if known else ("", "")
        team_id = self._workspace.team_id
        channels = [self._workspace.channels[channel_id] for channel_id in file.shares]
        private = f"{self.base}/files-pri/{team_id}-{file.id}"
        rendered: Json = {
            "id": file.id,
            "created": file.created,
            "timestamp": file.created,
            "name": file.name,
            "title": file.title,
            "mimetype": mime,
            "filetype": kind,
            "pretty_type": kind.upper(),
            "user": file.user.id,
            "user_team": file.user.team_id,
            "editable": False,
            "size": len(file.content or b""),
            "mode": "hosted",
            "is_external": False,
            "external_type": "",
            "is_public": any(channel.type == "channel" for channel in channels),
            "public_url_shared": False,
            "display_as_bot": False,
            "username": "",
            "url_private": f"{private}/{file.name}",
            "url_private_download": f"{private}/download/{file.name}",
            "media_display_type": "unknown",
            "permalink": f"https://{self._workspace.domain}.slack.com/files/{file.user.id}/{file.id}/{file.name}",
            "permalink_public": f"https://slack-files.test/{team_id}-{file.id}",
            "comments_count": 0,
            "is_starred": False,
            "shares": self._shares(file, channels),
            "channels": [channel.id for channel in channels if channel.type == "channel"],
            "groups": [channel.id for channel in channels if channel.type == "group"],
            "ims": [channel.id for channel in channels if channel.type == "im"],
            "has_more_shares": False,
            "has_rich_preview": False,
            "file_access": "visible",
        }
        if mime.startswith("image/"):
            rendered |= {f"thumb_{size}": f"{private}/thumb_{size}.png" for size in (64, 80, 160, 360)}
        if file.alt_text:
            rendered["alt_txt"] = file.alt_text
        return rendered

    def _shares(self, file: File, channels: Sequence[Channel]) -> Json:
        shares: Json = {}
        for channel in channels:
            kind = "public" if channel.type == "channel" else "private"
            shares.setdefault(kind, {})[channel.id] = [
                {
                    "reply_users": [],
                    "reply_users_count": 0,
                    "reply_count": 0,
                    "ts": ts,
                    "channel_name": channel.name,
                    "team_id": self._workspace.team_id,
                    "share_user_id": file.user.id,
                    "source": "UNKNOWN",
                }
                for ts in file.shares[channel.id]
            ]
        return shares

    def by_private_url(self, file_id: str) -> File | None:
        """The file with the id of a private URL; None until its upload is completed, and when it was deleted."""
        file = self._by_id.get(file_id)
        return file if file is not None and file.completed_at is not None and not file.deleted else None

    def require_images(self, payload: Json) -> None:
        """Refuse image blocks whose file is unknown, not processed yet, or not an image.

        Raises SlackError `invalid_blocks`.
        """
        wrong = [
            pointer for pointer, source in _slack_files(payload.get("blocks"), "/blocks") if not self._is_image(source)
        ]
        if wrong:
            messages = [f"[ERROR] invalid slack file [json-pointer:{pointer}]" for pointer in wrong]
            errors = [message.removeprefix("[ERROR] ") for message in messages]
            raise SlackError("invalid_blocks", messages=messages, errors=errors)

    def _is_image(self, source: Json) -> bool:
        for file in self._by_id.values():
            rendered = self.render(file)
            if source.get("id") == file.id or source.get("url") in (
                rendered["url_private"],
                rendered["permalink"],
            ):
                return not file.deleted and str(rendered["mimetype"]).startswith("image/")
        return False


def _kind(name: str) -> tuple[str, str]:
    """A file's type in Slack's words and as a MIME type, by its name."""
    mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
    ending = PurePosixPath(name).suffix.removeprefix(".").lower()
    return {"jpeg": "jpg", "txt": "text"}.get(ending, ending) or "binary", mime


def _slack_files(value: Any, pointer: str) -> Iterator[tuple[str, Json]]:
    """Every `slack_file` in blocks, with its JSON pointer."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "slack_file" and isinstance(inner, dict):
                yield f"{pointer}/{key}", inner
            else:
                yield from _slack_files(inner, f"{pointer}/{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _slack_files(inner, f"{pointer}/{number}")
