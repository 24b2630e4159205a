"""The environment: what is read, what wins, and that a mistake is named without repeating a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.settings import LogFormat, LogLevel, Mode, Settings, SettingsError

VARIABLES = (
    "DATABASE_URL",
    "TOCSIN_DATA_DIR",
    "SLACK_BOT_TOKEN",
    "SLACK_APP_TOKEN",
    "SLACK_SIGNING_SECRET",
    "SLACK_CLIENT_ID",
    "SLACK_CLIENT_SECRET",
    "SLACK_API_URL",
    "SLACK_COMMAND",
    "TOCSIN_SOCKETS",
    "HTTP_HOST",
    "HTTP_PORT",
    "TOCSIN_SECRET_KEY",
    "PUBLIC_URL",
    "METRICS_TOKEN",
    "SENTRY_DSN",
    "SENTRY_ENVIRONMENT",
    "ALERTMANAGER_URL",
    "LOG_LEVEL",
    "LOG_FORMAT",
)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings.load()


def mistake(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **variables)
    return caught.value.sentence


def test_nothing_set_gives_the_documented_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings.database_url is None
    assert settings.data_dir == Path(".tocsin")
    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.slack_command == "/incident"
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 3000)
    assert settings.log_level is LogLevel.INFO
    assert settings.log_format is LogFormat.JSON, "stderr of a test is no terminal"
    assert settings.mode is Mode.NONE
    assert "SLACK_BOT_TOKEN" in settings.find_missing()[0]
    assert "SLACK_APP_TOKEN" in settings.find_missing()[1]
    assert "SLACK_SIGNING_SECRET" in settings.find_missing()[1]


def test_the_credentials_choose_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, SLACK_BOT_TOKEN="xoxb-1-a").mode is Mode.NONE
    assert load(monkeypatch, SLACK_SIGNING_SECRET="0" * 32).mode is Mode.HTTP
    assert load(monkeypatch, SLACK_APP_TOKEN="xapp-1-a").mode is Mode.SOCKET
    monkeypatch.delenv("SLACK_BOT_TOKEN")
    assert load(monkeypatch).find_missing() == ("SLACK_BOT_TOKEN",)


def test_the_env_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# comment\nSLACK_COMMAND=/from-file\nexport HTTP_PORT='4000'\nSOMETHING_ELSE=1\nLOG_LEVEL=\n",
        encoding="utf-8",
    )
    settings = load(monkeypatch, SLACK_COMMAND="/from-env")
    assert (settings.slack_command, settings.http_port) == ("/from-env", 4000)
    assert settings.log_level is LogLevel.INFO


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    settings = load(monkeypatch, **dict.fromkeys(VARIABLES, blank))
    assert settings == Settings()


def test_a_broken_env_file_is_named_with_its_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HTTP_PORT=1\nSLACK BOT TOKEN = 'xoxb-1-secretsecret\n", encoding="utf-8")
    sentence = mistake(monkeypatch)
    assert sentence.startswith(".env:2: ")
    assert "secretsecret" not in sentence
    (tmp_path / ".env").write_bytes(b"LOG_LEVEL=\xff\xfe")
    assert mistake(monkeypatch) == ".env is not UTF-8 text"
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()
    assert ".env is a folder" in mistake(monkeypatch)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("DATABASE_URL", "mysql://u:geheim@h/d", "not PostgreSQL"),
        ("DATABASE_URL", "u:geheim@h/d", "postgresql://"),
        ("DATABASE_URL", "postgresql://u:geheim@h:no-port/d", "postgresql://"),
        ("SLACK_BOT_TOKEN", "xapp-1-geheim", "SLACK_APP_TOKEN"),
        ("SLACK_BOT_TOKEN", "xoxp-1-geheim", "user token"),
        ("SLACK_BOT_TOKEN", "geheim", "xoxb-"),
        ("SLACK_BOT_TOKEN", "xoxb-geheim and more", "blanks"),
        ("SLACK_APP_TOKEN", "xoxb-1-geheim", "SLACK_BOT_TOKEN"),
        ("SLACK_APP_TOKEN", "geheim", "xapp-"),
        ("SLACK_SIGNING_SECRET", "xoxb-geheim", "Signing Secret"),
        ("SLACK_API_URL", "slack.com/api", "https://"),
        ("SLACK_API_URL", "ftp://slack.com/api", "https://"),
        ("SLACK_API_URL", "https://", "https://"),
        ("SLACK_API_URL", "http://h:99999/api", "https://"),
        ("SLACK_API_URL", "http://u:geheim@h/api", "https://"),
        ("SLACK_COMMAND", "incident", "/incident"),
        ("SLACK_COMMAND", "/two words", "/incident"),
        ("SLACK_COMMAND", "/Incident", "lower case"),
        ("HTTP_HOST", "http://localhost", "without scheme"),
        ("HTTP_HOST", "a b", "without scheme"),
        ("HTTP_PORT", "65536", "65535"),
        ("HTTP_PORT", "-1", "65535"),
        ("HTTP_PORT", "http", "65535"),
        ("HTTP_PORT", "٣", "65535"),
        ("TOCSIN_SOCKETS", "0", "from 1 to 10"),
        ("TOCSIN_SOCKETS", "11", "from 1 to 10"),
        ("TOCSIN_SOCKETS", "two", "from 1 to 10"),
        ("TOCSIN_SECRET_KEY", "geheim", "at least 16"),
        ("SENTRY_DSN", "https://geheim@sentry.example.com/", "https://key@"),
        ("SENTRY_DSN", "https://sentry.example.com/1", "https://key@"),
        ("PUBLIC_URL", "tocsin.example.com", "https://"),
        ("PUBLIC_URL", "https://u:geheim@h", "without a user name"),
        ("PUBLIC_URL", "https://h/?x=1", "https://"),
        ("ALERTMANAGER_URL", "u:geheim@h:9093", "http://"),
        ("ALERTMANAGER_URL", "ftp://u:geheim@h:9093", "http://"),
        ("ALERTMANAGER_URL", "http://u:geheim@h:9093/?x=1", "http://"),
        ("LOG_LEVEL", "loud", "debug, info, warning, error, critical"),
        ("LOG_FORMAT", "xml", "console, json"),
    ],
)
def test_a_mistake_is_one_line_with_the_name_and_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, hint: str
) -> None:
    sentence = mistake(monkeypatch, **{name: value})
    assert len(sentence.splitlines()) == 1
    assert sentence.startswith(f"{name} ")
    assert hint in sentence
    assert "geheim" not in sentence


def test_all_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = mistake(monkeypatch, HTTP_PORT="x", SLACK_BOT_TOKEN="xapp-1-a", LOG_LEVEL="x")
    assert [line.split()[0] for line in sentence.splitlines()] == [
        "SLACK_BOT_TOKEN",
        "HTTP_PORT",
        "LOG_LEVEL",
    ]


def test_the_data_folder_must_not_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert mistake(monkeypatch, TOCSIN_DATA_DIR="file").startswith("TOCSIN_DATA_DIR is a file")


def test_values_are_made_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        DATABASE_URL="postgres://u:p@h/d",
        SLACK_API_URL="http://127.0.0.1:9/api",
        LOG_LEVEL="DEBUG",
        LOG_FORMAT="Console",
        SLACK_BOT_TOKEN=" xoxb-1-a\n",
    )
    assert settings.database_url is not None
    assert settings.database_url.drivername == "postgresql+psycopg2"
    assert settings.slack_api_url == "http://127.0.0.1:9/api/"
    assert (settings.log_level, settings.log_format) == (LogLevel.DEBUG, LogFormat.CONSOLE)
    assert settings.slack_bot_token is not None
    assert settings.slack_bot_token.get_secret_value() == "xoxb-1-a"


def test_another_server_than_slacks_may_have_tokens_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, SLACK_API_URL="http://127.0.0.1:9/api/", SLACK_BOT_TOKEN="own-token")
    assert settings.slack_bot_token is not None


def test_settings_show_no_secret_and_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        DATABASE_URL="postgresql://u:geheim@h/d",
        SLACK_BOT_TOKEN="xoxb-geheim",
        SLACK_APP_TOKEN="xapp-geheim",
        SLACK_SIGNING_SECRET="geheim",
        TOCSIN_SECRET_KEY="geheim" * 4,
        METRICS_TOKEN="geheim-metrics",
        ALERTMANAGER_URL="http://u:g%40geheim@h:9093",
    )
    assert "geheim" not in f"{settings!r} {settings}"
    assert set(settings.secrets) == {
        *("geheim", "xoxb-geheim", "xapp-geheim", "geheim" * 4, "geheim-metrics"),
        *("g%40geheim", "g@geheim"),
    }
    with pytest.raises(ValidationError):
        settings.http_port = 1
