"""Everything that people see comes about on the page and shows what it should; CI keeps the pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from storage.engine import Store
from tests.browser.conftest import SCREENSHOTS, store
from tests.browser.demo_company import open_demo
from tests.browser.pictures import IMAGES, SHOWN, take_pictures
from tests.long import LONG

__all__ = ["store"]

STATES = Path(SCREENSHOTS) / "states"


@pytest.mark.timeout(240)
def test_every_state_is_shown_and_kept(browser: Browser, store: Store) -> None:
    """On a desktop and at 390 px, light; dark what the docs show so, and all with TOCSIN_LONG_TESTS."""
    with open_demo(store) as demo:
        take_pictures(demo, browser, STATES, all_dark=LONG)
        demo.slack.expect_no_problems()
    made = {path.stem for path in STATES.glob("*.png")}
    assert set(SHOWN) <= made
    assert {name.rsplit("-", 2)[0] for name in made} >= {"card-resolved", "digest", "list", "view-form", "help", "home"}


def test_the_pictures_of_the_docs_are_those_that_the_command_makes() -> None:
    docs = IMAGES.parent
    text = "".join(path.read_text("utf-8") for path in (docs.parent / "README.md", docs / "pictures.md"))
    assert {path.stem for path in IMAGES.glob("*.png")} == set(SHOWN)
    assert [name for name in SHOWN if f"images/{name}.png" not in text] == []
