"""The log: the libraries' lines come through it, and no secret does."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy import exc, make_url

from bot import log
from bot.settings import LogFormat, LogLevel
from storage.engine import create_pool

SECRETS = {
    "a bot token": "xoxb-1234567890-geheimgeheim",
    "a rotated bot token": "xoxe.xoxb-1-Mi0xLgeheimgeheim",
    "an app token": "xapp-1-A0001-1234-geheimgeheim",
    "an intake token": "tocsin_geheimgeheimgeheimgeheimgeheim",
    "a password in a URL": "postgresql+psycopg2://tocsin:geheim@127.0.0.1:5432/tocsin",
    "a password with a slash and a colon": "postgresql://tocsin:ge/he:im%40geheim@db/tocsin",
    "a connection string": "host=db password='geheim geheim' dbname=x",
    "a header": "Authorization: Bearer geheimgeheim",
    "a socket mode ticket": "wss://wss-primary.slack.com/link/?ticket=geheim-geheim&app_id=A1",
    "a response_url": "https://hooks.slack.com/commands/T0001/123/geheim",
}


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture(params=list(LogFormat))
def either_format(request: pytest.FixtureRequest, out: io.StringIO) -> LogFormat:
    chosen: LogFormat = request.param
    log.configure(LogLevel.DEBUG, chosen, secrets=["geheimer-schlüssel", 'mit"zeichen'], stream=out)
    return chosen


@pytest.mark.usefixtures("either_format")
@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret_passes(out: io.StringIO, kind: str) -> None:
    secret = SECRETS[kind]
    logger = structlog.get_logger("bot.test")
    logger.info(f"event {secret} end")
    logger.info("field", note=secret, deep={"list": [secret]})
    logging.getLogger("uvicorn.error").warning("from a library: %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        logger.exception("failed")
        logging.getLogger("apscheduler.executors").exception("failed")
    assert "geheim" not in out.getvalue()
    assert "***" in out.getvalue()
    assert out.getvalue().count("Traceback") == 2


@pytest.mark.usefixtures("either_format")
def test_fields_that_are_named_like_secrets_and_known_values_are_hidden(out: io.StringIO) -> None:
    structlog.get_logger("bot.test").info(
        "signed with geheimer-schlüssel",
        signing_secret="geheim",
        headers={"Authorization": "geheim"},
        token_id=7,
    )
    structlog.get_logger("bot.test").info("value", note='mit"zeichen')
    assert "geheim" not in out.getvalue()
    assert "zeichen" not in out.getvalue()
    assert "7" in out.getvalue(), "the id of a token is no secret"


def test_what_is_no_secret_stays(out: io.StringIO) -> None:
    log.configure(LogLevel.INFO, LogFormat.JSON, stream=out)
    plain = "see https://grafana.test:3000/d/abc?x=1 by ada@acme.test, xoxo - Bearer of news, postgresql://db/x"
    structlog.get_logger("bot.test").info(plain)
    assert json.loads(out.getvalue())["event"] == plain


def test_json_has_one_object_a_line_with_level_logger_and_time(out: io.StringIO) -> None:
    log.configure(LogLevel.INFO, LogFormat.JSON, stream=out)
    with structlog.contextvars.bound_contextvars(request="r1"):
        structlog.get_logger("bot.test").warning("naïve\nline", incident=4)
    logging.getLogger("uvicorn.error").info("ready")
    own, foreign = (json.loads(line) for line in out.getvalue().splitlines())
    assert own["event"] == "naïve\nline"
    assert (own["level"], own["logger"], own["incident"], own["request"]) == ("warning", "bot.test", 4, "r1")
    assert own["timestamp"].endswith("Z")
    assert (foreign["event"], foreign["logger"]) == ("ready", "uvicorn.error")


def test_slacks_loggers_are_silent_below_info_even_at_debug(out: io.StringIO) -> None:
    log.configure(LogLevel.DEBUG, LogFormat.JSON, stream=out)
    from slack_bolt.logger import get_bolt_app_logger, get_bolt_logger

    for logger in (
        logging.getLogger("slack_sdk.web.client"),
        get_bolt_logger(LogFormat),
        get_bolt_app_logger("run_bot"),
    ):
        logger.debug("body of a message")
        logger.info("connected")
    bent = logging.getLogger("slack_sdk.socket_mode")
    bent.setLevel(logging.DEBUG)
    bent.debug("body of a message")
    bent.setLevel(logging.NOTSET)
    structlog.get_logger("bot.test").debug("own detail")
    assert "body" not in out.getvalue()
    assert out.getvalue().count("connected") == 3
    assert "own detail" in out.getvalue()


def test_configuring_again_does_not_double_the_lines(out: io.StringIO) -> None:
    log.configure(LogLevel.INFO, LogFormat.JSON, stream=io.StringIO())
    log.configure(LogLevel.WARNING, LogFormat.JSON, stream=out)
    structlog.get_logger("bot.test").info("no")
    structlog.get_logger("bot.test").warning("once")
    assert len(out.getvalue().splitlines()) == 1


def test_a_failed_connection_names_no_password(out: io.StringIO) -> None:
    url = make_url("postgresql://tocsin:geheim@127.0.0.1:1/tocsin")
    log.configure(LogLevel.DEBUG, LogFormat.CONSOLE, stream=out)
    engine = create_pool(url.set(drivername="postgresql+psycopg2"))
    try:
        with engine.connect():
            raise AssertionError("nothing listens on port 1")
    except exc.OperationalError:
        structlog.get_logger("bot.test").exception("no database", url=str(url))
    assert "geheim" not in out.getvalue()


def test_the_same_line_is_written_once_a_second_and_says_how_often_it_came(out: io.StringIO) -> None:
    clock = [100.0]
    log.configure(LogLevel.INFO, LogFormat.JSON, stream=out)
    (repeats,) = [found for found in logging.getLogger().handlers[-1].filters if isinstance(found, log._Repeats)]
    repeats._monotonic = lambda: clock[0]
    ours, theirs = structlog.get_logger("bot.test"), logging.getLogger("uvicorn.error")

    def written() -> list[tuple[object, ...]]:
        lines = [json.loads(line) for line in out.getvalue().splitlines()]
        out.seek(0)
        out.truncate()
        return [(line["event"], line.get("id"), line.get("repeated")) for line in lines]

    for number in range(1000):
        theirs.warning("Invalid HTTP %s received.", "request")
        ours.warning("refused", reason="bad_token")
        if number < 3:
            ours.error("a delivery failed", id=number)
    assert written() == [
        ("Invalid HTTP request received.", None, None),
        ("refused", None, None),
        *[("a delivery failed", number, None) for number in range(3)],
    ]
    clock[0] += 1.0
    theirs.warning("Invalid HTTP %s received.", "request")
    ours.warning("refused", reason="bad_token")
    assert written() == [("Invalid HTTP request received. (and 999 times before)", None, None), ("refused", None, 999)]
    clock[0] += 1.0
    ours.warning("refused", reason="bad_token")
    assert written() == [("refused", None, None)]


def test_lines_that_never_come_again_are_forgotten(out: io.StringIO) -> None:
    log.configure(LogLevel.INFO, LogFormat.JSON, stream=out)
    (repeats,) = [found for found in logging.getLogger().handlers[-1].filters if isinstance(found, log._Repeats)]
    for number in range(3000):
        structlog.get_logger("bot.test").info("once", number=number)
    assert len(repeats._seen) == log._MAX_LINES


def test_a_very_short_secret_is_not_cut_out_of_every_word() -> None:
    """`***` in the middle of words would tell which letters are missing."""
    assert log.redact("the settings of tocsin", ["t", "geheim"]) == "the settings of tocsin"
    assert log.redact("the password is geheim", ["t", "geheim"]) == "the password is ***"
