"""Takes the pictures of the README anew, from a demo of its own: `python -m tests.browser.screenshots`.

Needs chromium. They are written to docs/images.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import FLAGS, card, choose_in_menu, go_to, type_command

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
MAIN = 9  # the incident of the guided path, in a demo that is new
WAIT_MS = 30_000


def main() -> int:
    """Takes every picture; 1 where there is no chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("chromium is not installed (on Debian: apt-get install chromium)\n")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=WAIT_MS)
    with _demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        _channel(browser, address)
        _form(browser, address)
        _phone(browser, address)
        _inspector(browser, address)
        browser.close()
    return 0


@contextmanager
def _demo() -> Iterator[str]:
    """The address of a demo that has just begun."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "run_bot.py"), "demo", "--port", "0"],
            env={**os.environ, "TOCSIN_DATA_DIR": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            found = (re.search(r"http://\S+/\?as=U0001", line) for line in process.stdout)
            yield next(match.group() for match in found if match)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def _open(browser: Browser, address: str, *, width: int, height: int, dark: bool = False) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        device_scale_factor=1.5,
        reduced_motion="reduce",
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(f"{address}#C0001")
    expect(card(page, MAIN)).to_contain_text("can you help me with this?")
    return page


def _keep(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    page.screenshot(path=IMAGES / f"{name}.png")
    if page.get_by_role("dialog").count():
        # A form is its person's, in whatever window: the next one would have it too.
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.context.close()


def _channel(browser: Browser, address: str) -> None:
    page = _open(browser, address, width=1280, height=760)
    card(page, MAIN).get_by_role("button", name="Acknowledge").click()
    expect(card(page, MAIN)).to_contain_text("Seen by Ada Obi")
    expect(card(page, MAIN)).to_contain_text("Critical")
    go_to(page, "Tocsin")
    go_to(page, "checkout")
    _keep(page, "channel")


def _form(browser: Browser, address: str) -> None:
    page = _open(browser, address, width=1100, height=720, dark=True)
    choose_in_menu(card(page, MAIN), "Comment")
    comment = page.get_by_role("dialog").get_by_label("Comment")
    comment.press_sequentially("Rolling back to *yesterday's* release. @pay")
    expect(page.get_by_role("option", name="@payments")).to_be_visible()
    _keep(page, "comment")


def _phone(browser: Browser, address: str) -> None:
    page = _open(browser, address, width=390, height=760)
    go_to_list = page.get_by_role("button", name="Show the list of conversations")
    expect(go_to_list).to_be_visible()
    type_command(page, "/incident list")
    expect(page.locator(".main .message", has_text="Open incidents").last).to_be_visible()
    _keep(page, "phone")


def _inspector(browser: Browser, address: str) -> None:
    page = _open(browser, address, width=1280, height=760, dark=True)
    page.get_by_role("button", name="Close the guided path").click()
    card(page, MAIN).hover()
    card(page, MAIN).get_by_role("button", name="Inspect").click()
    expect(page.get_by_role("complementary", name="Inspector")).to_contain_text("Slack would take this")
    _keep(page, "inspector")


if __name__ == "__main__":
    sys.exit(main())
