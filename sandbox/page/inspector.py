"""What is behind what people see: the JSON of a message or form, what the strict checks say of it, and
everything that crossed the wire, in both directions, with its time.
"""

import json
from collections import deque

from sandbox import block_kit
from sandbox.deliveries import Exchange
from sandbox.platform import Platform
from sandbox.records import Json, Message
from sandbox.views import View

# How far back an opened inspector looks, and how many lines it is handed at once.
LINES = 200
# How far back the exchanges of one message are searched.
SEARCHED = 3_000
# A longer body is cut for the inspector's list; the whole is in the message's own JSON.
BODY_LIMIT = 60_000
# What an app says in a message; the rest is added by the workspace.
_SENT = ("text", "blocks", "attachments", "metadata")


def _line(number: int, exchange: Exchange) -> Json:
    took = None if exchange.answered_at is None else round((exchange.answered_at - exchange.at) * 1000, 1)
    return {
        "n": number,
        "direction": "in" if exchange.kind in ("web_api", "response_url") else "out",
        "kind": exchange.kind,
        "name": exchange.name,
        "at": exchange.at,
        "ms": took,
        "attempt": exchange.retry_attempt,
        "envelope": exchange.envelope_id,
        "ok": _ok(exchange),
        "sent": _cut(exchange.sent),
        "answer": _cut(exchange.answer),
    }


def _ok(exchange: Exchange) -> bool | None:
    """Whether it went well; None: it is not answered yet."""
    if exchange.answered_at is None:
        return None
    if exchange.answer is None:
        return False
    return exchange.answer.get("ok", True) is True


def _cut(body: Json | None) -> object:
    if body is None or len(written := json.dumps(body, ensure_ascii=False)) <= BODY_LIMIT:
        return body
    return f"{written[:BODY_LIMIT]}… ({len(written):,} characters)"


class Watch:
    """One open inspector: what crossed the wire since it was last asked."""

    def __init__(self, platform: Platform) -> None:
        self._traffic = platform.deliveries.traffic
        self._number = 0
        self._last: Exchange | None = None
        self._open: deque[tuple[int, Exchange]] = deque(maxlen=LINES)

    def news(self) -> list[Json]:
        """New lines, and those that were answered meanwhile."""
        fresh: list[Exchange] = []
        for exchange in reversed(list(self._traffic)):
            if exchange is self._last or len(fresh) >= LINES:
                break
            fresh.append(exchange)
        lines = []
        for number, exchange in list(self._open):
            if exchange.answered_at is not None:
                lines.append(_line(number, exchange))
                self._open.remove((number, exchange))
        for exchange in reversed(fresh):
            self._number += 1
            lines.append(_line(self._number, exchange))
            if exchange.answered_at is None:
                self._open.append((self._number, exchange))
        if fresh:
            self._last = fresh[0]
        return lines


def of_message(platform: Platform, message: Message) -> Json:
    """A message: its JSON, the verdict of the checks, and the exchanges that it was part of."""
    with platform.workspace.lock:
        body = message.render(with_metadata=True)
        checked = {key: value for key, value in body.items() if key in _SENT}
        if attachments := body.get("attachments"):  # which the workspace has numbered
            checked["attachments"] = [{k: v for k, v in one.items() if k != "id"} for one in attachments]
        ephemeral = message.ephemeral_to is not None
    problems = [] if not message.by_app else block_kit.check_message(checked, ephemeral=ephemeral)
    return {
        "json": body,
        "by_app": message.by_app,
        "problems": [str(problem) for problem in problems],
        "exchanges": _about(platform, message.ts, message.body if ephemeral else None),
    }


def of_view(platform: Platform, view: View) -> Json:
    """The same of a form or Home."""
    with platform.workspace.lock:
        rendered = platform.views.render(view)
        problems = block_kit.check_view(view.definition)
    return {
        "json": rendered,
        "by_app": True,
        "problems": [str(problem) for problem in problems],
        "exchanges": _about(platform, view.id),
    }


def _about(platform: Platform, identifier: str, alone: Json | None = None) -> list[Json]:
    """The exchanges that name a message or form. What one person was answered (`alone`) has no name on the wire:
    it is known by its words.
    """
    named = f'"{identifier}"'
    return [
        _line(number, exchange)
        for number, exchange in enumerate(list(platform.deliveries.traffic)[-SEARCHED:])
        if named in json.dumps(exchange.sent)
        or named in json.dumps(exchange.answer)
        or (alone is not None and _says(exchange, alone))
    ][-LINES:]


def _says(exchange: Exchange, body: Json) -> bool:
    answer = {"slash_commands": exchange.answer, "response_url": exchange.sent}.get(exchange.kind)
    return answer is not None and bool(body.get("text")) and answer.get("text") == body["text"]
