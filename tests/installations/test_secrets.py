"""Secrets in the database: encrypted, readable with any of the keys, and encrypted anew when a key is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from bot.cli import main
from bot.secret_box import Purpose, SecretBox, SecretUnreadable
from bot.settings import Settings, SettingsError
from storage.engine import Store
from storage.installation_rows import InstallationRow
from storage.models import Installation, IntakeToken, Organization
from storage.queries import installations as queries
from tests.cli.test_settings import VARIABLES

OLD, NEW = "the-old-key-of-this-test", "the-new-key-of-this-test"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store.open(database_url)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)


def installed(store: Store, key: str, installation_id: str = "T0001") -> None:
    """The app is installed, with tokens encrypted with a key."""
    box, now = SecretBox(key, Purpose.SLACK_TOKENS), store.clock.now()
    row = InstallationRow(
        id=installation_id,
        enterprise_id=None,
        name="Acme",
        url="https://acme.slack.test/",
        app_id="A0001",
        bot_user_id="U0BOT",
        bot_id="B0001",
        scopes="chat:write,commands",
        installed_by="U0001",
        organization_id=None,
        token_sealed=box.seal("xoxe.xoxb-1-first"),
        refresh_token_sealed=box.seal("xoxe-1-first"),
        token_expires_at=now + timedelta(hours=12),
        date_installed=now,
    )
    with store.write() as tx:
        queries.save_installation(tx, row, {installation_id: "Acme"}, now)


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    sealed = SecretBox(OLD).seal("secret")
    both = SecretBox(f"{NEW},{OLD}")
    assert both.open(sealed) == "secret"
    assert SecretBox(NEW).open(both.seal("secret")) == "secret"
    with pytest.raises(SecretUnreadable):
        SecretBox(OLD).open(both.seal("secret"))
    with pytest.raises(SecretUnreadable):
        SecretBox(OLD, Purpose.SLACK_TOKENS).open(sealed)
    for unreadable in ("", "gAAAA", "\N{SNOWMAN}", sealed[:-4]):
        with pytest.raises(SecretUnreadable):
            both.open(unreadable)


def test_a_key_is_replaced_by_reencrypt(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(store, OLD)
    with store.write() as tx:
        organization_id = tx.scalars(
            insert(Organization).values(slug="acme", name="Acme").returning(Organization.id)
        ).one()
        sealed = SecretBox(OLD).seal("of sentry")
        tx.execute(
            insert(IntakeToken).values(organization_id=organization_id, source="sentry", secret_encrypted=sealed)
        )
    monkeypatch.setenv("TOCSIN_SECRET_KEY", NEW)
    assert main(["reencrypt"]) == 1, "without the old key nothing can be read"
    assert "T0001: made with a key that TOCSIN_SECRET_KEY does not have" in capsys.readouterr().err
    monkeypatch.setenv("TOCSIN_SECRET_KEY", f"{NEW}, {OLD}")
    assert main(["reencrypt"]) == 0
    assert capsys.readouterr().out == "2 encrypted with the first key, 0 were already.\n"
    assert main(["reencrypt"]) == 0
    assert capsys.readouterr().out == "0 encrypted with the first key, 2 were already.\n"
    with store.read() as connection:
        token, refresh_token = queries.list_sealed_tokens(connection)["T0001"]
        secret = connection.scalar(select(IntakeToken.secret_encrypted))
    slack = SecretBox(NEW, Purpose.SLACK_TOKENS)
    assert (slack.open(token), slack.open(refresh_token or "")) == ("xoxe.xoxb-1-first", "xoxe-1-first")
    assert SecretBox(NEW).open(str(secret)) == "of sentry"


def test_reencrypt_needs_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reencrypt"]) == 2
    assert "TOCSIN_SECRET_KEY is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (f"{OLD},short", "TOCSIN_SECRET_KEY holds a key that is too short; each should have at least 16 characters"),
        (f"{OLD},,{NEW}", "TOCSIN_SECRET_KEY holds an empty key; several keys are separated by single commas"),
        (f"{OLD},", "TOCSIN_SECRET_KEY holds an empty key"),
    ],
)
def test_a_wrong_list_of_keys_is_refused(monkeypatch: pytest.MonkeyPatch, keys: str, sentence: str) -> None:
    monkeypatch.setenv("TOCSIN_SECRET_KEY", keys)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert caught.value.sentence.startswith(sentence)
    assert OLD not in caught.value.sentence


def test_every_single_key_is_kept_out_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SECRET_KEY", f"{NEW}, {OLD}")
    assert {NEW, OLD} <= set(Settings.load().secrets)


def test_no_token_is_stored_in_plain_text(store: Store) -> None:
    installed(store, OLD)
    with store.read() as connection:
        assert "xox" not in repr(connection.execute(select(Installation)).one())
