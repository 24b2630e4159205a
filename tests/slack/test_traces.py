"""Traces of what the bot does, sent to a collector of OpenTelemetry that is a web server on this machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx
import pytest

from bot import tracing
from bot.settings import Settings, SettingsError
from sandbox import Sandbox
from storage.engine import Store
from tests.ending import run_to_end
from tests.patience import PATIENCE_S
from tests.slack.collector import Collector, Span, running_collector
from tests.slack.serving import ROOT, Serve
from tests.slack.test_wrong_clocks import token as create_token
from tests.stories.conftest import Cast

SERVER, CLIENT = 2, 3
KEY = "0123456789abcdef-key-of-the-collector"


def build_environment(collector: Collector, **more: str) -> Mapping[str, str]:
    """The variables with which the bot sends its traces to the collector, soon."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50", **more}


def is_delivery(kind: str, of: Span, span: Span) -> bool:
    """Whether a span is the sending of a message of this kind that another span has requested."""
    return span.attributes.get("tocsin.kind") == kind and span.links == [of.id]


def names(spans: list[Span]) -> set[str]:
    return {span.name for span in spans}


def test_a_command_is_traced_from_its_arrival_to_its_answer(cast: Cast, serve: Serve) -> None:
    with running_collector() as collector:
        bot = serve(over_http=True, environment=build_environment(collector))
        cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
        command = collector.wait_for("command declare")
        root = collector.wait_for("slack command", lambda span: span.id == command.parent)
        assert root.kind == SERVER and not root.parent and len({root.trace, command.trace}) == 1
        assert re.fullmatch("[0-9a-f]{8}", root.attributes["tocsin.request_id"])
        assert root.began_ns <= command.began_ns <= command.ended_ns <= root.ended_ns
        assert command.attributes["tocsin.result"] == "ok" and not command.failed
        statements = {span.name: span for span in collector.list_below(command)}
        assert {"INSERT incident_seen", "COMMIT"} <= statements.keys(), statements.keys()
        assert statements["INSERT incident_seen"].kind == CLIENT
        assert statements["INSERT incident_seen"].attributes["db.system.name"] == "postgresql"
        assert "INSERT INTO incident_seen " in statements["INSERT incident_seen"].attributes["db.query.text"]
        # What follows is delivery's own, with a link to the command: it may be another process, and later.
        expanded = collector.wait_for("delivery expand")
        assert not expanded.parent and expanded.attributes["tocsin.of_alert"] is False
        assert expanded.links == [command.id]
        card = collector.wait_for("delivery send", lambda span: span.attributes.get("tocsin.kind") == "card")
        assert not card.parent and card.links == [command.id]
        posted = collector.wait_for("slack chat.postMessage", lambda span: span.parent == card.id)
        assert posted.kind == CLIENT and posted.attributes["tocsin.result"] == "ok"
        assert collector.resources[0]["service.name"] == "tocsin" and collector.resources[0]["tocsin.role"] == "all"
        cast.ada.command("/incident", "comment 1 On it", channel=cast.random)
        commented = collector.wait_for("command comment")
        for kind in ("card", "mirror"):  # one that was there, and a new one
            collector.wait_for("delivery send", partial(is_delivery, kind, commented))
        bot.process.terminate()
        assert bot.end() == 0


def test_buttons_forms_events_alerts_and_digests_are_traced_and_nothing_that_is_typed_or_secret(
    slack: Sandbox, cast: Cast, store: Store, serve: Serve
) -> None:
    token = create_token(store)
    with running_collector() as collector:
        environment = build_environment(
            collector,
            OTEL_EXPORTER_OTLP_HEADERS=f"api-key={KEY}",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
            OTEL_SERVICE_NAME="incidents",
        )
        bot = serve(environment=environment)
        cast.ada.command("/incident", "declare project:checkout Zanzibar fails", channel=cast.random)
        card = cast.ben.wait_for_message(cast.checkout, containing="#1 Zanzibar", timeout=PATIENCE_S)
        cast.ben.press(card, "Acknowledge")
        cast.ben.press(card, "Comment")
        cast.ben.wait_for_form("Comment #1").fill("Comment", "Kilimanjaro is high").submit()
        cast.ben.reply(card, "Serengeti is wide")
        cast.ada.command("/incident", "view Ngorongoro", channel=cast.random)
        cast.ada.command("/incident", 'digest add "0 0 1 1 *" picture:no', channel=cast.checkout)
        with store.read() as connection:
            digest_id = connection.exec_driver_sql("SELECT id FROM digest").scalar_one()
        cast.ada.command("/incident", f"digest now {digest_id}", channel=cast.checkout)
        alert = {"dedup_key": "Tanga", "title": "Arusha", "project": "checkout", "labels": {"city": "Dodoma"}}
        answer = httpx.post(
            f"{bot.url}/intake/events", json=alert, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S
        )
        assert answer.status_code == 202
        received = collector.wait_for("intake events")
        assert received.kind == SERVER and received.attributes["tocsin.status"] == 202
        batch = collector.wait_for("intake batch")
        assert batch.parent == received.id and batch.attributes["tocsin.alerts"] == 1
        assert "COMMIT" in names(collector.list_below(batch))
        acknowledged = collector.wait_for("acknowledge")
        assert collector.wait_for("slack command", lambda span: span.id == acknowledged.parent).kind == SERVER
        for name in ("button acknowledge", "form comment", "event message", "command view", "digest publish"):
            collector.wait_for(name)
        collector.wait_for("delivery send", lambda span: span.attributes.get("tocsin.kind") == "digest")
        assert not collector.wait_for("command view").failed  # a refusal is no fault
        assert "EXECUTE" not in names(collector.spans), "a prepared statement is known by its text"
        slack.settle()
        bot.process.terminate()
        assert bot.end() == 0
        assert {one["service.name"] for one in collector.resources} == {"incidents"}
        assert {one["api-key"] for one in collector.headers} == {KEY}
        everything = b"".join(collector.bodies)
        typed = ("Zanzibar", "Kilimanjaro", "Serengeti", "Ngorongoro", "Tanga", "Arusha", "Dodoma", "city")
        secrets = (slack.bot_token, slack.app_token, token, KEY, "Ada", "ada@", "U0001")
        for text in (*typed, *secrets):
            assert text.encode() not in everything, text
        assert not any(KEY in str(line) for line in bot.lines)


def test_an_error_is_marked_by_its_class_alone(cast: Cast, store: Store, serve: Serve) -> None:
    with running_collector() as collector:
        serve(environment=build_environment(collector))
        cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
        cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail", timeout=PATIENCE_S)
        with store.write() as tx:
            tx.exec_driver_sql("ALTER TABLE incident_subscription RENAME TO gone")
        try:
            text = cast.ada.command("/incident", "subscribe 1", channel=cast.random).text
        finally:
            with store.write() as tx:
                tx.exec_driver_sql("ALTER TABLE gone RENAME TO incident_subscription")
        command = collector.wait_for("command subscribe")
        assert command.failed and command.attributes["error.type"] == "error"
        root = collector.wait_for("slack command", lambda span: span.id == command.parent)
        assert root.attributes["tocsin.request_id"] in text
        assert any(span.attributes.get("error.type") == "42P01" for span in collector.list_below(command))
        assert b"does not exist" not in b"".join(collector.bodies)


@pytest.mark.parametrize("answers", [False, True])
def test_a_collector_that_is_away_or_hangs_delays_nobody(cast: Cast, serve: Serve, answers: bool) -> None:
    with running_collector(answers_after_s=PATIENCE_S) as collector:
        endpoint = collector.endpoint if answers else "http://127.0.0.1:9"
        bot = serve(environment=build_environment(collector, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint))
        if answers:
            collector.wait_for("slack auth.test")  # its answer does not come, so nothing more is sent
        for number in range(1, 4):
            answer = cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
            assert f"#{number} Payments fail" in answer.text
        bot.process.terminate()
        assert bot.end() == 0  # within ten seconds


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHONPATH": str(ROOT), "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", **environment}
    return run_to_end(["-c", program], env=variables)


def test_without_an_endpoint_nothing_is_loaded_and_nothing_is_recorded() -> None:
    program = (
        "import sys; import bot.cli, bot.app;"
        "from bot import tracing;"
        "from bot.settings import Settings; from bot.trace_export import TraceExport;"
        "traces = TraceExport(Settings.load(), 'all');"
        "own = ('opentelemetry.sdk', 'opentelemetry.exporter', 'bot.traced_statements');"
        "print([name for name in sys.modules if name.startswith(own)], tracing.is_on()); traces.stop()"
    )
    done = run(program, OTEL_SERVICE_NAME="tocsin")
    assert (done.stdout, done.stderr) == ("[] False\n", "")
    # Then every span is the same object, which does nothing.
    assert tracing.span("command list", verb="list") is tracing.span("slack command", tracing.SERVER, began_ns=1)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT should look like http://collector.example:4318",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a b/v1/traces"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT should look like http://collector.example:4318/v1/traces",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL should be http/protobuf, which is all that the bot sends",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER should be otlp or none",
        ),
    ],
)
def test_a_wrong_variable_is_one_line(
    variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert raised.value.sentence == sentence


def test_missing_packages_are_one_line() -> None:
    program = (
        "import sys; sys.modules['opentelemetry.sdk.trace'] = None; from bot.cli import main; sys.exit(main(['serve']))"
    )
    done = run(program, OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318")
    sentence = (
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry's packages are not installed:"
        " pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http\n"
    )
    assert (done.returncode, done.stderr) == (2, sentence)


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_traces_are_switched_off_as_everywhere(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    assert Settings.load().trace_endpoint == "http://collector:4318"
    monkeypatch.setenv(name, value)
    assert Settings.load().trace_endpoint is None


def test_variables_of_the_file_count_too_and_headers_are_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text(
        f"OTEL_EXPORTER_OTLP_ENDPOINT=http://of-the-file:4318\nOTEL_EXPORTER_OTLP_HEADERS=a=b%20c,api-key={KEY}\n"
    )
    settings = Settings.load(file)
    assert settings.trace_endpoint == "http://of-the-file:4318"
    assert {KEY, "b%20c", "b c"} <= set(settings.secrets)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    assert Settings.load(file).trace_endpoint == "http://collector:4318"
