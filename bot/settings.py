"""The settings, read from the environment and validated once at start. Nothing else reads environment variables.

docs/settings.md says what each variable means. The message of a mistake names the variable, says what would be right,
and never repeats a secret.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.http_urls import parse_http_url
from bot.opentelemetry_settings import find_mistakes, find_trace_endpoint, list_secrets
from bot.secret_box import split_keys
from bot.settings_checks import SLACK_API_URL, check_env_file, check_token_kind, format_errors, parse_cells
from bot.settings_checks import SettingsError as SettingsError  # for those who load the settings

if TYPE_CHECKING:
    from sqlalchemy import URL
else:
    URL = Any  # SQLAlchemy is loaded only if DATABASE_URL is set, and pydantic needs a name here

ENV_FILE = ".env"
MAX_SOCKETS = 10
# Characters: few enough for a pass phrase, enough that a stolen database does not reveal it by guessing.
SECRET_KEY_MIN_LENGTH = 16


class Mode(StrEnum):
    """How requests from Slack arrive."""

    SOCKET = "socket"  # SLACK_APP_TOKEN is set
    HTTP = "http"  # SLACK_SIGNING_SECRET is set, SLACK_APP_TOKEN is not
    NONE = "none"  # credentials are missing


class Role(StrEnum):
    """What a process of `serve` does. Any number of each work on one database."""

    ALL = "all"
    WEB = "web"  # answers Slack and takes alerts
    WORKER = "worker"  # sends messages and digests

    @property
    def takes_requests(self) -> bool:
        """Whether requests of Slack and alerts arrive here."""
        return self is not Role.WORKER

    @property
    def sends(self) -> bool:
        """Whether what is due is sent from here."""
        return self is not Role.WEB


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


def _default_log_format() -> LogFormat:
    return LogFormat.CONSOLE if sys.stderr.isatty() else LogFormat.JSON


def _parse_database_url(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    from storage.url import BadDatabaseUrl, normalise_url

    try:
        return normalise_url(value.strip())
    except BadDatabaseUrl as error:
        raise ValueError(str(error)) from None


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Settings(BaseSettings):
    """The settings of one process; made by `load`."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        case_sensitive=True,
        env_file=None,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        validate_by_name=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
        arbitrary_types_allowed=True,
    )

    database_url: Annotated[URL | None, BeforeValidator(_parse_database_url)] = Field(
        default=None, validation_alias="DATABASE_URL"
    )
    cells: Annotated[Mapping[str, URL], NoDecode, BeforeValidator(parse_cells)] = Field(
        default_factory=dict, validation_alias="TOCSIN_CELLS"
    )
    data_dir: Path = Field(default=Path(".tocsin"), validation_alias="TOCSIN_DATA_DIR")
    slack_api_url: str = Field(default=SLACK_API_URL, validation_alias="SLACK_API_URL")  # always ends with a slash
    slack_bot_token: SecretStr | None = Field(default=None, validation_alias="SLACK_BOT_TOKEN")
    slack_app_token: SecretStr | None = Field(default=None, validation_alias="SLACK_APP_TOKEN")
    slack_signing_secret: SecretStr | None = Field(default=None, validation_alias="SLACK_SIGNING_SECRET")
    sockets: int = Field(default=1, validation_alias="TOCSIN_SOCKETS")
    slack_client_id: str | None = Field(default=None, validation_alias="SLACK_CLIENT_ID")
    slack_client_secret: SecretStr | None = Field(default=None, validation_alias="SLACK_CLIENT_SECRET")
    slack_command: str = Field(default="/incident", validation_alias="SLACK_COMMAND")
    http_host: str = Field(default="127.0.0.1", validation_alias="HTTP_HOST")
    http_port: int = Field(default=3000, validation_alias="HTTP_PORT")  # 0: any free port
    secret_key: SecretStr | None = Field(default=None, validation_alias="TOCSIN_SECRET_KEY")
    public_url: str | None = Field(default=None, validation_alias="PUBLIC_URL")  # without a slash at its end
    sentry_dsn: SecretStr | None = Field(default=None, validation_alias="SENTRY_DSN")
    sentry_environment: str = Field(default="production", validation_alias="SENTRY_ENVIRONMENT")
    metrics_token: SecretStr | None = Field(default=None, validation_alias="METRICS_TOKEN")
    alertmanager_url: SecretStr | None = Field(default=None, validation_alias="ALERTMANAGER_URL")
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(default=LogLevel.INFO, validation_alias="LOG_LEVEL")
    log_format: Annotated[LogFormat, BeforeValidator(_lower)] = Field(
        default_factory=_default_log_format, validation_alias="LOG_FORMAT"
    )

    _opentelemetry: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def load(cls, env_file: str | Path = ENV_FILE) -> Self:
        """The settings from the environment, and from `env_file` in the working folder for what the environment lacks.

        Raises SettingsError.
        """
        check_env_file(Path(env_file))
        try:
            settings = cls(_env_file=env_file)  # type: ignore[call-arg]  # pydantic-settings' own argument
        except ValidationError as error:
            raise SettingsError(*format_errors(error)) from None
        given = {**dotenv_values(env_file), **os.environ}
        found = {name: value for name, value in given.items() if name.startswith("OTEL_") and value}
        if mistakes := list(find_mistakes(found)):
            raise SettingsError(*mistakes)
        settings._opentelemetry = found
        return settings

    @property
    def opentelemetry(self) -> Mapping[str, str]:
        """The variables of OpenTelemetry (OTEL_…), which its SDK reads by itself."""
        return self._opentelemetry

    @property
    def trace_endpoint(self) -> str | None:
        """Where traces go; None where they are off."""
        return find_trace_endpoint(self._opentelemetry)

    @property
    def mode(self) -> Mode:
        """How requests from Slack arrive: it follows from the credentials."""
        if self.find_missing():
            return Mode.NONE
        return Mode.SOCKET if self.slack_app_token else Mode.HTTP

    @property
    def names_client(self) -> bool:
        """Whether the bot is to be installed in many workspaces."""
        return bool(self.slack_client_id or self.slack_client_secret)

    def find_missing(self, role: Role = Role.ALL) -> tuple[str, ...]:
        """The variables without which `serve` cannot work in a role; an entry may name an alternative."""
        missing = [] if self.slack_bot_token or self.names_client else ["SLACK_BOT_TOKEN"]
        if self.names_client:
            needed = {
                "SLACK_CLIENT_ID": self.slack_client_id,
                "SLACK_CLIENT_SECRET": self.slack_client_secret,
                "TOCSIN_SECRET_KEY (it encrypts the tokens of the workspaces)": self.secret_key,
            }
            missing += [name for name, value in needed.items() if not value]
            if role.takes_requests and self.slack_app_token and not self.slack_signing_secret:
                missing.append("SLACK_SIGNING_SECRET")
        if role.takes_requests and not (self.slack_app_token or self.slack_signing_secret):
            missing.append("SLACK_APP_TOKEN (or SLACK_SIGNING_SECRET, for requests over HTTP)")
        return tuple(missing)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be shown; the log removes them."""
        secrets = (
            self.slack_bot_token,
            self.slack_app_token,
            self.slack_signing_secret,
            self.slack_client_secret,
            self.secret_key,
            self.metrics_token,
            self.sentry_dsn,
        )
        urls = [*([self.database_url] if self.database_url is not None else []), *self.cells.values()]
        others = [secret for url in urls for secret in (url.password, url.query.get("sslpassword"))]
        if self.secret_key:
            others += split_keys(self.secret_key.get_secret_value())
        if self.alertmanager_url:
            password = urlsplit(self.alertmanager_url.get_secret_value()).password
            others += [password, unquote(password)] if password else []
        return (
            *(s.get_secret_value() for s in secrets if s),
            *(str(secret) for secret in others if secret),
            *list_secrets(self._opentelemetry),
        )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {k: v for k, v in values.items() if not (isinstance(v, str) and not v.strip())}
        return values

    @field_validator("cells")
    @classmethod
    def _cells_are_others(cls, value: Mapping[str, URL], info: ValidationInfo) -> Mapping[str, URL]:
        if info.data.get("database_url") in value.values():
            raise ValueError("names the database of DATABASE_URL; it should name other ones")
        return value

    @field_validator("data_dir")
    @classmethod
    def _data_dir_is_a_folder(cls, value: Path) -> Path:
        folder = value.expanduser()
        if folder.exists() and not folder.is_dir():
            raise ValueError("is a file; it should be the folder where the embedded database lives")
        return folder

    @field_validator("slack_api_url")
    @classmethod
    def _api_url_is_http(cls, value: str) -> str:
        wanted = f"should look like {SLACK_API_URL}"
        parts = parse_http_url(value)
        if parts is None:
            raise ValueError(wanted)
        if parts.username or parts.password:
            raise ValueError(f"holds a user name or a password; it {wanted}")
        return value.rstrip("/") + "/"

    @field_validator("sentry_dsn")
    @classmethod
    def _sentry_dsn_is_one(cls, value: SecretStr | None) -> SecretStr | None:
        parts = parse_http_url(value.get_secret_value()) if value is not None else None
        if value is not None and (parts is None or not parts.username or not re.search(r"/\d+$", parts.path)):
            raise ValueError("should look like https://key@sentry.example.com/1, as Sentry shows it under Client Keys")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url_is_http(cls, value: str | None) -> str | None:
        parts = parse_http_url(value) if value is not None else None
        if value is not None and (parts is None or parts.username or parts.password):
            raise ValueError("should look like https://tocsin.example.com, without a user name and a query")
        return value.rstrip("/") if value is not None else None

    @field_validator("alertmanager_url")
    @classmethod
    def _alertmanager_url_is_http(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and parse_http_url(value.get_secret_value()) is None:
            raise ValueError(
                "should look like http://alertmanager.example:9093, or http://user:password@… with a login"
            )
        return value

    @field_validator("slack_command")
    @classmethod
    def _command_begins_with_a_slash(cls, value: str) -> str:
        if not re.fullmatch(r"/[^\s/]{1,31}", value) or value != value.lower():
            raise ValueError("should be a slash and a word of at most 31 characters in lower case, like /incident")
        return value

    @field_validator("http_host")
    @classmethod
    def _host_is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%\w+)?", value):
            raise ValueError(
                "should be an address or a host name alone, without scheme or port, like 127.0.0.1 or 0.0.0.0"
            )
        return value

    @field_validator("http_port", mode="before")
    @classmethod
    def _port_is_in_range(cls, value: Any) -> Any:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value.strip()):
            value = int(value)
        if not isinstance(value, int) or not 0 <= value <= 65535:
            raise ValueError("should be a port number from 0 (any free one) to 65535")
        return value

    @field_validator("sockets", mode="before")
    @classmethod
    def _sockets_are_in_range(cls, value: Any) -> Any:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,2}", value.strip()):
            value = int(value)
        if not isinstance(value, int) or not 1 <= value <= MAX_SOCKETS:
            raise ValueError(f"should be a number from 1 to {MAX_SOCKETS}, the most that Slack allows for one app")
        return value

    @field_validator("secret_key")
    @classmethod
    def _secret_key_is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        keys = split_keys(value.get_secret_value())
        if not all(keys):
            raise ValueError("holds an empty key; several keys are separated by single commas")
        if min(map(len, keys)) < SECRET_KEY_MIN_LENGTH:
            which = "is too short; it" if len(keys) == 1 else "holds a key that is too short; each"
            raise ValueError(
                f"{which} should have at least {SECRET_KEY_MIN_LENGTH} characters, for example what"
                " `openssl rand -base64 32` prints"
            )
        return SecretStr(",".join(keys))

    @field_validator("slack_client_id")
    @classmethod
    def _client_id_is_one(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", value):
            raise ValueError("should be the Client ID of the app's Basic Information page, like 1234567890.1234567890")
        return value

    @field_validator(
        "slack_bot_token",
        "slack_app_token",
        "slack_signing_secret",
        "slack_client_secret",
        "secret_key",
        "metrics_token",
    )
    @classmethod
    def _secret_is_one_word(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("holds blanks or characters outside ASCII; was more than the value copied?")
        return value

    @field_validator("slack_signing_secret")
    @classmethod
    def _signing_secret_is_no_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value().startswith(("xox", "xapp-")):
            raise ValueError("is a token; it should be the Signing Secret of the app's Basic Information page")
        return value

    @field_validator("slack_bot_token")
    @classmethod
    def _bot_token_is_one(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        check_token_kind(value, info, ("xoxb-", "xoxe.xoxb-"), "the Bot User OAuth Token begins with xoxb-")
        return value

    @field_validator("slack_app_token")
    @classmethod
    def _app_token_is_one(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        check_token_kind(value, info, ("xapp-",), "an app-level token begins with xapp-")
        return value
