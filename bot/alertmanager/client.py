"""Calls of Alertmanager's API, version 2. Each has a deadline, and no error repeats a password.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from bot.slack.transport import HttpAnswer, build_basic_credentials, call

READ_S = 10.0  # with many thousand alerts an answer has megabytes
CHANGE_S = 5.0


class AlertmanagerAway(Exception):
    """Alertmanager cannot be reached, or its answer makes no sense. The message says why."""


class AlertmanagerRefused(Exception):
    """Alertmanager refuses a request. The message says why."""


@dataclass(frozen=True, slots=True)
class ForeignSilence:
    """A silence as Alertmanager has it."""

    id: str
    active: bool
    expired: bool
    ends: datetime
    created_by: str
    comment: str


@dataclass(frozen=True, slots=True)
class ForeignAlert:
    """An alert as Alertmanager has it; it has not ended."""

    key: str  # its fingerprint
    labels: Mapping[str, str]
    started: datetime
    silenced_by: Sequence[str]  # ids of silences
    payload: Mapping[str, Any]  # all of it


@dataclass(frozen=True, slots=True)
class Version:
    """Which Alertmanager it is, and since when it runs."""

    version: str
    started: datetime


class AlertmanagerClient:
    """Calls one Alertmanager."""

    def __init__(self, url: str) -> None:
        """`url` may have a user name and a password, for basic authentication."""
        parts = urlsplit(url)
        self.place = parts.netloc.rpartition("@")[2]  # host and port, as people read them
        self._base = urlunsplit((parts.scheme, self.place, parts.path.rstrip("/") + "/api/v2", "", ""))
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if parts.username is not None:
            self._headers["Authorization"] = build_basic_credentials(
                unquote(parts.username), unquote(parts.password or "")
            )

    def get_version(self) -> Version:
        """Which Alertmanager it is. Raises AlertmanagerAway."""
        found = self._read("/status")
        try:
            return Version(str(found["versionInfo"]["version"]), _parse_time(found["uptime"]))
        except (KeyError, TypeError, ValueError):
            raise AlertmanagerAway(f"{self.place} does not answer as Alertmanager does") from None

    def list_silences(self) -> list[ForeignSilence]:
        """All silences, also those that ended lately. Raises AlertmanagerAway."""
        return [self._parse_silence(one) for one in self._read_list("/silences")]

    def list_alerts(self) -> list[ForeignAlert]:
        """All alerts that have not ended, silenced or not. Raises AlertmanagerAway."""
        return [self._parse_alert(one) for one in self._read_list("/alerts")]

    def create_silence(
        self, matchers: Mapping[str, str], *, starts: datetime, ends: datetime, created_by: str, comment: str
    ) -> str:
        """Silences the alerts that have these labels. Returns the silence's id.

        Raises AlertmanagerAway, AlertmanagerRefused.
        """
        body = {
            "matchers": [
                {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in matchers.items()
            ],
            "startsAt": starts.isoformat(),
            "endsAt": ends.isoformat(),
            "createdBy": created_by,
            "comment": comment,
        }
        answer = self._call("POST", "/silences", json.dumps(body).encode())
        try:
            return str(json.loads(answer.text)["silenceID"])
        except (ValueError, KeyError, TypeError):
            raise AlertmanagerAway(f"{self.place} does not answer as Alertmanager does") from None

    def expire_silence(self, silence_id: str) -> None:
        """Ends a silence. Raises AlertmanagerAway, AlertmanagerRefused."""
        self._call("DELETE", f"/silence/{quote(silence_id, safe='')}")

    def _read_list(self, path: str) -> list[Any]:
        found = self._read(path)
        if not isinstance(found, list):
            raise AlertmanagerAway(f"{self.place} does not answer as Alertmanager does")
        return found

    def _read(self, path: str) -> Any:
        try:
            answer = self._call("GET", path)
        except AlertmanagerRefused as error:
            raise AlertmanagerAway(str(error)) from None
        try:
            return json.loads(answer.text)
        except ValueError:
            raise AlertmanagerAway(f"{self.place} does not answer as Alertmanager does") from None

    def _call(self, method: str, path: str, body: bytes | None = None) -> HttpAnswer:
        timeout_s = READ_S if method == "GET" else CHANGE_S
        try:
            answer = call(method, self._base + path, body, self._headers, timeout_s=timeout_s)
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise AlertmanagerAway(f"{self.place} cannot be reached: {reason}") from None
        if answer.status >= 500:
            raise AlertmanagerAway(f"{self.place} answers {answer.status}")
        if answer.status >= 300:
            raise AlertmanagerRefused(f"{self.place} answers {answer.status}: {answer.text[:200]}")
        return answer

    def _parse_silence(self, found: Any) -> ForeignSilence:
        try:
            state = found["status"]["state"]
            return ForeignSilence(
                id=str(found["id"]),
                active=state == "active",
                expired=state == "expired",
                ends=_parse_time(found["endsAt"]),
                created_by=str(found.get("createdBy") or ""),
                comment=str(found.get("comment") or ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise AlertmanagerAway(f"{self.place} does not answer as Alertmanager does") from None

    def _parse_alert(self, found: Any) -> ForeignAlert:
        try:
            return ForeignAlert(
                key=str(found["fingerprint"]),
                labels={str(name): str(value) for name, value in found["labels"].items()},
                started=_parse_time(found["startsAt"]),
                silenced_by=[str(one) for one in found["status"]["silencedBy"] or ()],
                payload=found,
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise AlertmanagerAway(f"{self.place} does not answer as Alertmanager does") from None


def _parse_time(value: str) -> datetime:
    parsed = datetime.fromisoformat(value)
    if parsed.tzinfo is None:
        raise ValueError(value)
    return parsed
