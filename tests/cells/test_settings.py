"""TOCSIN_CELLS: mistakes are named, and nothing of a URL is shown."""

from __future__ import annotations

import pytest

from bot.settings import Settings, SettingsError

SECRET = "s3cret-of-a-cell"
URL = f"postgresql://bot:{SECRET}@db.test/tocsin"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (URL, "TOCSIN_CELLS should look like eu=postgresql://"),
        (f"EU={URL}", "a name is lower-case letters"),
        (f"default={URL}", "TOCSIN_CELLS names default twice"),
        (f"eu={URL} eu={URL}2", "TOCSIN_CELLS names eu twice"),
        (f"eu={URL} us={URL}", "TOCSIN_CELLS names one database twice"),
        (f"eu=mysql://bot:{SECRET}@db.test/tocsin", "eu: is for mysql"),
        ("eu=postgresql://db.test/first", "names the database of DATABASE_URL"),
    ],
)
def test_a_mistake_is_named_without_the_url(value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.test/first")
    monkeypatch.setenv("TOCSIN_CELLS", value)
    with pytest.raises(SettingsError) as refused:
        Settings.load("no-such-file")
    assert said in refused.value.sentence and SECRET not in refused.value.sentence


def test_the_passwords_of_cells_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_CELLS", f"eu={URL}  us=postgresql://db.test/us")
    settings = Settings.load("no-such-file")
    assert list(settings.cells) == ["eu", "us"]
    assert SECRET in settings.secrets
