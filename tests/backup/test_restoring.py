"""After a restore to an earlier moment, the bot does not post again what Slack already has."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from bot.cli import main
from sandbox import Sandbox, SeenMessage
from storage.embedded import ROLE, as_superuser
from storage.embedded.binaries import get_wheel_folder
from storage.engine import Store
from storage.queries.restoration import NUMBERS_SKIPPED
from tests.clock import find_shadows_first
from tests.patience import PATIENCE_S
from tests.slack.serving import Serve
from tests.stories.conftest import Cast

WAITING = "SELECT count(*) FROM post WHERE ts IS NULL AND wanted_version > drawn_version"
BUSY = "SELECT EXISTS (SELECT FROM outbox) OR EXISTS (SELECT FROM post WHERE wanted_version > drawn_version)"
Restore = Callable[[], str]


@pytest.fixture
def dump(database_url: str, tmp_path: Path) -> Iterator[Callable[[], Restore]]:
    """Makes a backup with pg_dump; gives what restores it with pg_restore into another database."""
    url = make_url(database_url)
    restored = url.set(database=f"{url.database}_restored")
    engine = create_engine(as_superuser(url), isolation_level="AUTOCOMMIT")

    def run(program: str, *arguments: str) -> None:
        where = ["--host", str(url.query["host"]), "--port", str(url.query["port"]), "--username", str(url.username)]
        subprocess.run([get_wheel_folder() / program, *where, *arguments], check=True)

    def make() -> Restore:
        file = str(tmp_path / "tocsin.dump")
        run("pg_dump", "--enable-row-security", "--format=custom", f"--file={file}", str(url.database))

        def restore() -> str:
            with engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {restored.database} OWNER {ROLE}"))
            run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={restored.database}", file)
            find_shadows_first(restored)
            return restored.render_as_string()

        return restore

    yield make
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {restored.database} WITH (FORCE)"))
    engine.dispose()


def count(store: Store, question: str) -> int:
    with store.read() as connection:
        return int(connection.exec_driver_sql(question).scalar_one())


def cards(slack: Sandbox, cast: Cast, title: str) -> list[SeenMessage]:
    return [one for one in slack.messages(cast.checkout) if one.from_app and f"{title}\n" in f"{one.text}\n"]


def test_what_slack_has_is_not_posted_again(
    slack: Sandbox,
    cast: Cast,
    store: Store,
    serve: Serve,
    dump: Callable[[], Restore],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ask(words: str) -> str:
        return cast.ada.command("/incident", words, channel=cast.random).text

    web, worker = serve(role="web"), serve(role="worker")
    ask("declare project:checkout Payments fail")
    cast.ben.command("/incident", "subscribe 1", channel=cast.random)
    cast.ben.wait_for_message(cast.checkout, containing="#1 Payments fail", timeout=PATIENCE_S)
    slack.wait_until(lambda: not count(store, BUSY), PATIENCE_S, "delivery rests")
    # Slack takes nothing until the backup is made, so messages wait in it.
    limit = slack.faults.rate_limit("chat.postMessage", retry_after=5, times=None)
    ask("declare project:checkout Search is slow")
    ask("comment 1 Looking into it")
    slack.wait_until(lambda: count(store, WAITING) == 3, PATIENCE_S, "a card, a comment and a notification wait")
    restore = dump()
    slack.faults.remove(limit)
    cast.ben.wait_for_message(cast.checkout, containing="#2 Search is slow", timeout=PATIENCE_S)
    cast.ben.wait_for_message(containing="Looking into it", timeout=PATIENCE_S)
    ask("declare project:checkout Lost with the disk")
    cast.ben.wait_for_message(cast.checkout, containing="#3 Lost with the disk", timeout=PATIENCE_S)
    slack.wait_until(lambda: not count(store, BUSY), PATIENCE_S, "delivery rests")
    for bot in (web, worker):
        bot.process.terminate()
        assert bot.end() == 0

    restored = {"DATABASE_URL": restore()}
    for name, value in {
        **restored,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["after-restore"]) == 0
    printed = capsys.readouterr().out
    assert "Messages not sent yet: 3." in printed
    assert f"The next incident of acme is #{3 + NUMBERS_SKIPPED}:" in printed
    (lost,) = cards(slack, cast, "#3 Lost with the disk")
    assert "1 of the bot's messages are about what is lost, the first is https://" in printed
    assert lost.ts.replace(".", "") in printed
    assert main(["audit", "--limit", "1"]) == 0
    assert "restored the data from a backup on the command line: backup ended: 20" in capsys.readouterr().out

    serve(environment=restored)
    answer = ask("declare project:checkout Here again")
    assert f"#{3 + NUMBERS_SKIPPED} Here again" in answer
    cast.ben.wait_for_message(cast.checkout, containing="Here again", timeout=PATIENCE_S)
    ask("ack 2")
    (second,) = cards(slack, cast, "#2 Search is slow")
    second.wait_for(lambda shown: "Ada Obi" in shown.text, timeout=PATIENCE_S)
    ask("resolve 2")
    second.wait_for(lambda shown: "Resolved" in shown.text, timeout=PATIENCE_S)
    assert "Lost" not in ask("view 3")
    assert [len(cards(slack, cast, title)) for title in ("#1 Payments fail", "#2 Search is slow")] == [1, 1]
    (first,) = cards(slack, cast, "#1 Payments fail")
    assert sum("Looking into it" in one.text for one in first.thread) == 1
    assert sum("Looking into it" in one.text for one in cast.ben.direct_messages()) == 1
