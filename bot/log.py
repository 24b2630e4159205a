"""The log of the process: one format for the project's events and those of libraries, without secrets.

The project logs through structlog, libraries through the standard library's logging. Both end in one handler on stderr.
Its formatter removes secrets from the finished line, including the text of exceptions.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TextIO
from urllib.parse import quote

import structlog
from structlog.typing import EventDict

from bot.settings import LogFormat, LogLevel, Settings

HIDDEN = "***"

# What looks like a secret, wherever it occurs.
_SECRETS = (
    # Slack tokens: xoxb-, xoxp-, xapp-, xoxe.xoxb-, xoxe- …
    (re.compile(r"\b((?:xoxe\.)?xox[a-z]|xapp)-[A-Za-z0-9%_.-]{6,}"), rf"\1-{HIDDEN}"),
    # Intake tokens of this project.
    (re.compile(r"\btocsin_[A-Za-z0-9_-]{16,}"), f"tocsin_{HIDDEN}"),
    # scheme://user:password@host. Passwords with unescaped / or : are hidden whole. Each part has a maximum
    # length, so that the work is linear in the length of a line; the bot's own passwords are hidden by `exact`.
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s:/@\"']{0,100}):[^\s@\"]{1,256}@"), rf"\1:{HIDDEN}@"),
    # libpq's password=… and Socket Mode's ticket, in a connection string or a query.
    (re.compile(r"\b(password|passwd|ticket)=('[^']*'|[^\s&\"']+)", re.IGNORECASE), rf"\1={HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic) [A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # A response_url or an incoming webhook lets whoever has it post.
    (re.compile(r"(https?://hooks\.slack[^/\s]*/)[^\s\"']+"), rf"\1{HIDDEN}"),
)
# Fields whose value is a secret whatever it looks like.
_SECRET_FIELDS = re.compile(r"token|secret|password|authorization|cookie|response_url", re.IGNORECASE)
# A shorter value may occur by chance in any line.
_EXACT_MIN_LENGTH = 6

# The same line is written once in this time; this many of the latest lines are compared.
_REPEAT_S = 1.0
_MAX_LINES = 1000

# Their debug lines hold message bodies and tokens.
_SLACK_LOGGERS = ("slack_bolt", "slack_sdk")
_OWN_LOGGERS = ("bot", "storage", "__main__")
# Each request or job that goes well is not news.
_QUIET_LOGGERS = ("uvicorn.access", "apscheduler", "alembic", "sqlalchemy", "httpx", "asyncio")


def redact(text: str, exact: Iterable[str] = ()) -> str:
    """The text without what looks like a secret, and without any of the `exact` values.

    A very short value is left: it occurs by chance, and a word with a gap in it tells what is missing.
    """
    for value in exact:
        if len(value) >= _EXACT_MIN_LENGTH:
            text = text.replace(value, HIDDEN)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def hide_secret_fields(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: hides the values of fields that are named like a secret, at any depth."""
    for key, value in event.items():
        event[key] = _hide_value(key, value)
    return event


def _hide_value(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _hide_value(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_hide_value(key, v) for v in value]
    # A count or an id of a token is no secret.
    return HIDDEN if isinstance(value, str | bytes) and _SECRET_FIELDS.search(key) else value


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    def __init__(self, *args: Any, exact: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._exact = exact

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record), self._exact)


def _no_slack_debug(record: logging.LogRecord) -> bool:
    # Bolt copies the root logger's level to loggers of its own, so a level on "slack_bolt" is not enough.
    return record.levelno >= logging.INFO or record.name.split(".")[0] not in _SLACK_LOGGERS


class _Repeats(logging.Filter):
    """Passes the same line once a second; the next one says how often it was held back.

    Otherwise a stranger could fill the disk with lines that they can cause at will, such as malformed requests.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: dict[
            Hashable, tuple[float, int]
        ] = {}  # line -> when it last passed, and how often it was held back since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        line, now = _identify(record), self._monotonic()
        with self._lock:
            came, held_back = self._seen.pop(line, (-math.inf, 0))
            if now - came < _REPEAT_S:
                self._seen[line] = (came, held_back + 1)
                return False
            self._seen[line] = (now, 0)
            if len(self._seen) > _MAX_LINES:
                del self._seen[next(iter(self._seen))]
        if held_back and isinstance(record.msg, dict):
            record.msg = {**record.msg, "repeated": held_back}
        elif held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back} times before)", ()
        return True


def _identify(record: logging.LogRecord) -> Hashable:
    """What makes two lines the same: everything but the time."""
    says: Any = record.getMessage()
    if isinstance(record.msg, dict):
        says = tuple((key, repr(value)) for key, value in record.msg.items() if key != "timestamp")
    return record.name, record.levelno, says, repr(record.exc_info and record.exc_info[1])


def configure(
    level: LogLevel = LogLevel.INFO,
    log_format: LogFormat = LogFormat.CONSOLE,
    *,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Configures the log of the process, replacing what an earlier call set up.

    `secrets` are values to remove from every line, besides what looks like a secret. `stream` is stderr by default.
    """
    out = stream if stream is not None else sys.stderr
    known = {s for s in secrets if len(s) >= _EXACT_MIN_LENGTH}
    known |= {quote(s, safe="") for s in known} | {json.dumps(s)[1:-1] for s in known}
    exact = tuple(sorted(known, key=len, reverse=True))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if log_format is LogFormat.JSON
        # Not the rich traceback: it shows local variables.
        else [structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        _RedactingFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                hide_secret_fields,
                *renderers,
            ],
            exact=exact,
        )
    )
    handler.addFilter(_no_slack_debug)
    handler.addFilter(_Repeats())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, _RedactingFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(number, logging.INFO))
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)  # whatever another server in the process has set
    for name in _OWN_LOGGERS:
        logging.getLogger(name).setLevel(number)
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)


def configure_from(settings: Settings) -> None:
    """Configures the log from the settings."""
    configure(settings.log_level, settings.log_format, secrets=settings.secrets)
