"""`doctor` where the bot is installed by OAuth, and `serve` where something of it is not set."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bot.cli import main
from bot.settings import Mode, Role, Settings
from tests.cli.test_settings import VARIABLES
from tests.installations.conftest import KEYS, Cloud
from tests.stories.conftest import ORGANIZATION


@pytest.fixture
def environment(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, database_url: str) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(cloud.folder)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SLACK_API_URL", cloud.first.api_url)
    monkeypatch.setenv("SLACK_CLIENT_ID", cloud.first.oauth.client_id)
    monkeypatch.setenv("SLACK_CLIENT_SECRET", cloud.first.oauth.client_secret)
    monkeypatch.setenv("SLACK_SIGNING_SECRET", cloud.first.signing_secret)
    monkeypatch.setenv("TOCSIN_SECRET_KEY", KEYS)
    return monkeypatch


def findings(capsys: pytest.CaptureFixture[str]) -> str:
    main(["doctor"])
    return "\n".join(line for line in capsys.readouterr().out.splitlines() if "nstallation" in line)


def test_doctor_finds_what_is_wrong_with_an_installation(
    cloud: Cloud, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.apply()
    assert "none yet" in findings(capsys)
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe)
    found = findings(capsys)
    assert "2, with 1 workspace of organizations" in found and "not connected to an organization: T0002" in found
    with cloud.store.write() as tx:
        tx.execute(text("UPDATE installation SET scopes = replace(scopes, 'reactions:read,', '') WHERE id = 'T0001'"))
    assert "installation in Acme (T0001): permissions are missing: reactions:read" in findings(capsys)
    cloud.second.events_held()
    cloud.second.oauth.uninstall(cloud.second.oauth.installations["T0002"])
    assert "installation in Labs (T0002): Slack refuses its token (account_inactive)" in findings(capsys)
    environment.setenv("TOCSIN_SECRET_KEY", "another-key-of-this-test")
    assert "was encrypted with another TOCSIN_SECRET_KEY" in findings(capsys)


def test_doctor_checks_every_workspace_and_names_it(
    cloud: Cloud, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """C0021 is in Labs; nobody has C0404; Labs has none of Acme's people."""
    assert environment
    cloud.apply(
        ORGANIZATION.replace("[T0001]", "[T0001, T0002]").replace("channels: [C0002]", "channels: [C0021, C0404]")
    )
    cloud.apply(
        "organization: {slug: globex, name: Globex, workspaces: [T0077]}\n"
        "members: [{email: zoe@acme.test, name: Zoe Lab, role: owner}]\n"
    )
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe)
    main(["doctor"])
    found = capsys.readouterr().out
    assert "ok     organization: Acme, 5 members, 2 projects" in found
    assert "channel #checkout of checkout in Acme (T0001): the bot is in it" in found
    assert "channel #labs of catalogue in Labs (T0002): the bot is" in found
    assert "channel C0404 of catalogue in Acme (T0001) and Labs (T0002): the bot cannot find it" in found
    assert "members in Labs (T0002): 4 have no account in this workspace" in found
    assert "Globex" not in found, "nobody can look into its workspace"
    # Without one of them, what is not found may be there.
    with cloud.store.write() as tx:
        tx.execute(text("UPDATE installation SET scopes = replace(scopes, 'reactions:read,', '') WHERE id = 'T0002'"))
    main(["doctor"])
    found = capsys.readouterr().out
    assert "ok     channel C0021 of catalogue: it is in none of the workspaces that were checked" in found


def test_after_a_restore_the_messages_of_every_workspace_are_looked_at(
    cloud: Cloud, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert environment
    cloud.apply(
        ORGANIZATION.replace("[T0001]", "[T0001, T0002]").replace("channels: [C0002]", "channels: [C0002, C0021]")
    )
    cloud.install(cloud.first, cloud.cast.ben)
    cloud.install(cloud.second, cloud.zoe)
    cloud.ask(cloud.cast.cyn, "declare project:catalogue Search is slow")
    cloud.cast.cyn.wait_for_message(cloud.cast.catalogue, containing="Search is slow")
    cloud.zoe.wait_for_message("C0021", containing="Search is slow")
    with cloud.store.write() as tx:  # as if the backup were from before
        tx.execute(text("DELETE FROM post"))
        tx.execute(text("DELETE FROM incident"))
        tx.execute(text("DELETE FROM outbox"))
        tx.execute(text("UPDATE replica SET date_seen = '2020-01-01'"))
        tx.execute(text("UPDATE organization SET date_added = '2020-01-01'"))
    assert main(["after-restore"]) == 0
    found = capsys.readouterr().out
    lost = "1 of the bot's messages are about what is lost, the first is https://"
    assert f"Acme (T0001), #catalogue: {lost}acme.slack.com/archives/C0002/" in found
    assert f"Labs (T0002), #labs: {lost}labs.slack.com/archives/C0021/" in found


def test_serve_says_what_is_not_set(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert Settings.load().find_missing() == () and Settings.load().mode is Mode.HTTP
    assert Settings.load().find_missing(Role.WORKER) == ()
    for name in ("SLACK_CLIENT_SECRET", "TOCSIN_SECRET_KEY", "SLACK_SIGNING_SECRET"):
        with environment.context() as without:
            without.delenv(name)
            assert main(["serve"]) == 2
            assert name in capsys.readouterr().err
    environment.delenv("SLACK_CLIENT_ID")
    environment.delenv("SLACK_CLIENT_SECRET")
    assert main(["serve"]) == 2
    assert "SLACK_BOT_TOKEN" in capsys.readouterr().err
