"""`/metrics` of a bot at work: it counts what happens, nobody makes it grow, and it tells no secret."""

from __future__ import annotations

import copy
import re
from itertools import count

import httpx
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bot import __version__, deployment
from bot.backlog import BacklogCollector
from sandbox import Sandbox
from sandbox.records import Json
from storage.engine import Store
from tests.patience import PATIENCE_S
from tests.slack.serving import Serve, Serving
from tests.slack.test_wrong_clocks import token as create_token
from tests.statements import counted
from tests.stories.conftest import Cast


def metrics(bot: Serving) -> dict[str, Metric]:
    """What a Prometheus server reads."""
    answer = httpx.get(f"{bot.url}/metrics", timeout=PATIENCE_S)
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(bot: Serving, sample: str, **labels: str) -> float:
    """The value of one sample; 0 while there is none."""
    for family in metrics(bot).values():
        for one in family.samples:
            if one.name == sample and one.labels == labels:
                return one.value
    return 0.0


def series(bot: Serving) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every series that a Prometheus server would keep."""
    return {(one.name, tuple(sorted(one.labels.items()))) for family in metrics(bot).values() for one in family.samples}


def test_commands_presses_and_messages_are_counted_and_timed(slack: Sandbox, cast: Cast, serve: Serve) -> None:
    bot = serve()

    def say(words: str) -> None:
        cast.ada.command("/incident", words, channel=cast.random)

    say("declare project:checkout Payments fail")
    for words in ("list", "LIST all", "view 1", "1", "#1", "ack 1", "view 77", "lsit", "help", "help list"):
        say(words)
    shown = cast.ada.command("/incident", "view 1", channel=cast.random).message
    assert shown is not None
    cast.ada.press(shown, "Acknowledge")
    cast.ada.press(shown, "Comment")
    cast.ada.wait_for_form("Comment #1").fill("Comment", "Looking").submit()
    cast.ada.opens_home()
    cast.dan.wait_for_message(cast.checkout, "#1")
    slack.settle()
    for verb, result, wanted in (
        ("declare", "ok", 1),
        ("list", "ok", 2),
        ("view", "ok", 4),
        ("view", "refused", 1),
        ("ack", "ok", 1),
        ("help", "ok", 2),
        ("other", "refused", 1),
    ):
        assert value(bot, "tocsin_commands_total", verb=verb, result=result) == wanted, verb
    assert value(bot, "tocsin_command_seconds_count", verb="list") == 2
    assert value(bot, "tocsin_acknowledgement_seconds_count", kind="command") == 12
    assert value(bot, "tocsin_acknowledgement_seconds_count", kind="view_submission") == 1
    assert value(bot, "tocsin_interactions_total", kind="button", name="acknowledge", result="ok") == 1
    assert value(bot, "tocsin_interactions_total", kind="form", name="comment", result="ok") == 1
    assert value(bot, "tocsin_database_up") == 1
    assert value(bot, "tocsin_slack_connected") == 1
    assert value(bot, "tocsin_late_requests_total") == 0
    assert value(bot, "process_resident_memory_bytes") > 0
    slack.wait_until(
        lambda: value(bot, "tocsin_posts_sent_total", kind="card", how="posted") == 1, what="the card is counted"
    )


def test_what_delivery_meets_with_is_counted(slack: Sandbox, cast: Cast, serve: Serve) -> None:
    bot = serve()
    slack.faults.rate_limit("chat.postMessage")
    slack.faults.refuse("chat.postMessage", "invalid_blocks")
    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
    cast.dan.wait_for_message(cast.checkout, "#1 Payments fail", timeout=PATIENCE_S)
    slack.faults.refuse("chat.postMessage", "user_disabled", times=None)
    cast.ada.command("/incident", "comment 1 @ben look", channel=cast.random)
    slack.wait_until(
        # To Ben, and into the card's thread.
        lambda: value(bot, "tocsin_posts_failed_total", reason="user_disabled") >= 2,
        PATIENCE_S,
        "messages given up",
    )
    assert value(bot, "tocsin_changes_expanded_total") == 2
    assert value(bot, "tocsin_posts_retried_total", why="rate") == 1
    assert value(bot, "tocsin_post_waited_seconds_count", kind="card") == 1
    assert "tocsin_posts_unknown" in metrics(bot)
    assert value(bot, "tocsin_posts_refused_blocks_total") == 1
    assert value(bot, "tocsin_workspace_pauses_total") == 0
    slack.revoke()
    # Something must be sent after that, where nothing was refused before.
    cast.ada.command("/incident", "declare project:catalogue Search is slow", channel=cast.random)
    slack.wait_until(lambda: value(bot, "tocsin_workspace_pauses_total") == 1, PATIENCE_S, "a pause")
    slack.problems.clear()


def test_whatever_is_sent_adds_no_series_and_no_secret(slack: Sandbox, cast: Cast, serve: Serve) -> None:
    bot = serve()
    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
    shown = cast.ada.command("/incident", "view 1", channel=cast.random).message
    assert shown is not None
    begin = len(slack.sent)
    cast.ada.press(shown, "Comment")
    cast.ada.wait_for_form("Comment #1").fill("Comment", "Looking").submit()
    cast.ada.shortcut("declare_incident")
    cast.ada.wait_for_form("Declare an incident").close()
    payloads = [one.sent for one in slack.sent[begin:] if one.kind == "interactive"]
    made_up = (f"made-up-{number}" for number in count())

    def hostile() -> None:
        for _ in range(3):
            cast.eve.command("/incident", next(made_up), channel=cast.random)
            cast.ada.command("/incident", f"help {next(made_up)}", channel=cast.random)
            cast.ada.command("/incident", f"list {next(made_up)}:x", channel=cast.random)
            for payload in payloads:
                for forged in forgeries(payload, next(made_up)):
                    cast.ada.replay(forged)
                    cast.eve.replay(forged)
        slack.settle()
        slack.wait_until(lambda: is_at_rest(bot), PATIENCE_S, "everything is sent")

    hostile()
    before = series(bot)
    hostile()
    assert series(bot) == before
    everything = httpx.get(f"{bot.url}/metrics", timeout=PATIENCE_S).text
    for secret in (slack.bot_token, slack.app_token, slack.signing_secret, "made-up", "Payments", "U0001"):
        assert secret not in everything


def is_at_rest(bot: Serving) -> bool:
    """Whether nothing is to be sent, nor to be done behind an answer."""
    waiting = [one.value for one in metrics(bot)["tocsin_delivery_waiting"].samples]
    return not any(waiting) and not value(bot, "tocsin_workers_in_use", pool="background")


def forgeries(payload: Json, name: str) -> list[Json]:
    """The payload with names in it that the bot never gave out."""
    found = []
    if "actions" in payload:
        found.append(copy.deepcopy(payload))
        found[-1]["actions"][0]["action_id"] = name
        found.append(copy.deepcopy(payload))
        found[-1]["actions"][0]["value"] = name
    if "view" in payload and payload.get("type") == "view_submission":
        found.append(copy.deepcopy(payload))
        found[-1]["view"]["callback_id"] = name
    if "callback_id" in payload:
        found.append({**payload, "callback_id": name})
    return found


def test_what_waits_is_measured_also_where_nothing_is_sent(
    slack: Sandbox, cast: Cast, store: Store, serve: Serve
) -> None:
    web = serve(role="web")
    assert value(web, "tocsin_delivery_waiting", urgency="urgent") == 0
    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
    cast.ada.command("/incident", 'digest add "0 0 1 1 *" picture:no', channel=cast.checkout)
    slack.settle()
    with store.write() as tx:  # ten minutes ago
        tx.exec_driver_sql("UPDATE outbox SET date_added = date_added - interval '600 s'")
        tx.exec_driver_sql("UPDATE digest SET next_fire_at = now() - interval '90 s'")
    assert value(web, "tocsin_delivery_waiting", urgency="urgent") == 1
    assert 600 <= value(web, "tocsin_delivery_oldest_seconds", urgency="urgent") < 660
    assert value(web, "tocsin_delivery_oldest_seconds", urgency="news") == 0
    assert value(web, "tocsin_digests_due") == 1
    assert 90 <= value(web, "tocsin_digests_late_seconds") < 150

    slack.faults.rate_limit("chat.postMessage", retry_after=600)
    worker = serve(role="worker")
    worker.wait_for("Slack limits the rate of calls")
    slack.wait_until(lambda: value(web, "tocsin_replicas", role="worker", version=__version__) == 1, PATIENCE_S, "both")
    # The change is a message now, as old as it was asked for; both processes give the same, and know of each other.
    for bot in (web, worker):
        assert value(bot, "tocsin_delivery_waiting", urgency="urgent") == 1
        assert value(bot, "tocsin_replicas", role="web", version=__version__) == 1
        assert value(bot, "tocsin_replicas", role="worker", version=__version__) == 1
    slack.wait_until(lambda: value(web, "tocsin_digests_due") == 0, PATIENCE_S, "the digest is handed over")
    web.process.terminate()
    assert web.end() == 0
    assert value(worker, "tocsin_replicas", role="web", version=__version__) == 0


def test_calls_of_slack_digests_and_refused_alerts_are_counted(
    slack: Sandbox, cast: Cast, store: Store, serve: Serve
) -> None:
    bot = serve()
    slack.faults.rate_limit("chat.postMessage", retry_after=2)
    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
    for minutes in (1, 60 * 24):  # one in time, and one that is too late
        cast.ada.command("/incident", 'digest add "0 0 1 1 *" picture:no', channel=cast.checkout)
        with store.write() as tx:
            tx.exec_driver_sql(
                "UPDATE digest SET next_fire_at = clock_timestamp() - make_interval(mins => %(minutes)s)"
                " WHERE id = (SELECT max(id) FROM digest)",
                {"minutes": minutes},
            )
    slack.wait_until(lambda: value(bot, "tocsin_digests_total", result="sent") == 1, PATIENCE_S, "a digest is sent")
    slack.wait_until(lambda: value(bot, "tocsin_digests_total", result="missed") == 1, PATIENCE_S, "one is missed")
    assert value(bot, "tocsin_digest_late_seconds_sum") >= 60
    assert value(bot, "tocsin_slack_calls_total", method="chat.postMessage", result="ratelimited") == 1
    assert value(bot, "tocsin_slack_calls_total", method="chat.postMessage", result="ok") == 2
    assert value(bot, "tocsin_slack_calls_total", method="auth.test", result="ok") == 1
    assert value(bot, "tocsin_slack_retry_after_seconds_sum", method="chat.postMessage") == 2
    assert value(bot, "tocsin_slack_call_seconds_count", method="apps.connections.open") == 1

    items = [{"dedup_key": "a"}, {"dedup_key": "b", "project": "checkout", "status": "on"}, {"title": "c"}]
    answer = httpx.post(
        f"{bot.url}/intake/events",
        json=items,
        headers={"Authorization": f"Bearer {create_token(store)}"},
        timeout=PATIENCE_S,
    )
    assert answer.status_code == 422
    for field in ("project", "status", "dedup_key"):
        assert value(bot, "tocsin_intake_refused_alerts_total", source="events", field=field) == 1, field
    [line] = bot.wait_for_several(1, "an alert was refused")
    assert (line["field"], line["more_errors"]) == ("project", 2)


def test_a_process_shows_what_it_uses_up(slack: Sandbox, cast: Cast, serve: Serve) -> None:
    web, worker = serve(role="web"), serve(role="worker")
    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.random)
    assert pools(web, "tocsin_workers_limit") == {"slack-socket-worker": 10, "background": 4, "intake": 16}
    assert pools(worker, "tocsin_workers_limit") == {
        "background": 4,
        "delivery-senders": 48,
        "digest": 4,
        "digest-picture": 1,
    }
    assert pools(web, "tocsin_database_connections_limit") == {
        "people-reading": 12,
        "people-writing": 10,
        "intake-reading": 5,
        "intake-writing": 6,
    }
    assert set(pools(worker, "tocsin_database_connections_limit")) == {
        "people-reading",
        "people-writing",
        "delivery-reading",
        "delivery-writing",
    }
    for bot in (web, worker):
        for pool, in_use in pools(bot, "tocsin_workers_in_use").items():
            assert 0 <= in_use <= pools(bot, "tocsin_workers_limit")[pool]
        assert value(bot, "tocsin_http_connections") >= 1  # of the one who asks
    slack.wait_until(lambda: value(web, "tocsin_event_loop_lag_seconds_count") > 0, PATIENCE_S, "lag is measured")
    assert value(web, "tocsin_slack_sockets") == 1
    assert value(worker, "tocsin_slack_sockets") == 0


def test_rules_dashboard_and_page_name_the_metrics_that_there_are(cast: Cast, serve: Serve) -> None:
    there = {name for name in metrics(serve()) if name.startswith("tocsin_") and not name.endswith("_created")}
    assert cast.ada
    for path in (deployment.RULES, deployment.RULE_TESTS, deployment.DASHBOARD):
        named = {family_of(name) for name in re.findall(r"\btocsin_[a-z_]+", path.read_text(encoding="utf-8"))}
        assert named - there == set(), path.name
    page = (deployment.ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    explained = {family_of(name) for name in re.findall(r"(?m)`(tocsin_[a-z_]+)`(?=[^|]*\|)", page)}
    assert explained == there


def family_of(sample: str) -> str:
    """The name of a metric, by that of a sample."""
    return re.sub(r"_(total|bucket|sum|count)$", "", sample)


def pools(bot: Serving, metric: str) -> dict[str, float]:
    """The values of a metric by pool."""
    return {one.labels["pool"]: one.value for one in metrics(bot)[metric].samples}


def test_what_waits_costs_one_statement(store: Store) -> None:
    registry = CollectorRegistry()
    with counted() as asked:
        registry.register(BacklogCollector(store, lambda: ["T0001"]))
        assert asked.statements == []
        text = generate_latest(registry).decode()
    assert len(asked.statements) == 1
    for name in ('tocsin_delivery_waiting{urgency="bulk"} 0.0', "tocsin_digests_due 0.0"):
        assert name in text
