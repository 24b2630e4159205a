"""`doctor` where the bot is installed by OAuth, and `serve` where something of it is not set."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bot.cli import main
from bot.settings import Mode, Role, Settings
from tests.cli.test_settings import VARIABLES
from tests.installations.conftest import KEYS, Cloud


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
