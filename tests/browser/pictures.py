"""Pictures of everything that people see in Slack, from the page: `python -m tests.browser.pictures [FOLDER]`.

Each state is reached through the bot, checked, and kept four times: on a desktop and at 390 px, light and dark. Without
a folder, the pictures of the README and of docs/pictures.md in docs/images are made anew. Needs chromium.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from bot.demo.alerts import FIRST
from bot.log import configure
from bot.settings import LogFormat, LogLevel
from sandbox import SeenMessage
from storage.embedded import scratch_postgres
from storage.engine import Store
from storage.migrate import migrate
from storage.url import normalise_url
from tests.browser.conftest import (
    FLAGS,
    WAIT_MS,
    card,
    choose_in_menu,
    expect_loaded,
    expect_no_dialog,
    leave_dialog,
    leave_menu,
    message,
    type_command,
    use_tool,
    visit,
)
from tests.browser.demo_company import Demo, open_demo
from tests.stories.conftest import COMMAND

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
TITLE = "Checkout answers 502 for one in ten orders"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}

# Those that stand in the README and in docs/pictures.md. The others are made to be looked at.
SHOWN = (
    *(
        "card-open-desktop-light",
        "card-critical-desktop-light",
        "card-critical-desktop-dark",
        "card-critical-phone-light",
    ),
    *("card-acknowledged-desktop-light", "card-resolved-desktop-light", "card-resolved-phone-dark"),
    *("view-form-desktop-light", "comment-form-desktop-dark", "resolve-form-phone-light", "thread-desktop-light"),
    *("direct-message-desktop-light", "direct-message-phone-dark", "digest-desktop-light", "digest-desktop-dark"),
    *("digest-phone-light", "list-desktop-light", "list-phone-light", "help-desktop-light", "home-desktop-light"),
    *("home-phone-dark", "guide-desktop-light", "inspector-desktop-dark"),
)


class Studio:
    """Ada's page on a desktop and on a phone, and the folder for the pictures."""

    def __init__(self, demo: Demo, browser: Browser, folder: Path, *, scale: float = 1, all_dark: bool = True) -> None:
        self.demo = demo
        self.folder = folder
        self.all_dark = all_dark
        self.pages: dict[str, Page] = {}
        for device, (width, height) in SIZES.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, device_scale_factor=scale, reduced_motion="reduce"
            )
            context.set_default_timeout(WAIT_MS)
            page = self.pages[device] = context.new_page()
            page.add_init_script("sessionStorage.setItem('guide', 'closed')")
            page.goto(f"http://127.0.0.1:{demo.slack.port}/?as={demo.company.ada.id}")
            page.locator("#page:not([aria-busy])").wait_for()
            expect_loaded(page)

    def close(self) -> None:
        """Closes the pages."""
        for page in self.pages.values():
            page.context.close()

    def go(self, address: str) -> None:
        """Opens a conversation, a thread or the Home."""
        self.each(lambda page: visit(page, address))

    def each(self, act: Callable[[Page], object]) -> None:
        """Does something on both pages."""
        for page in self.pages.values():
            act(page)

    def leave_form(self) -> None:
        """Closes the form that Ada has open, which stands on both pages."""
        leave_dialog(self.pages["desktop"])
        self.each(expect_no_dialog)

    def clear(self) -> None:
        """Dismisses what only Ada sees."""
        workspace = self.demo.slack.platform.workspace
        for alone in list(workspace.ephemerals[self.demo.company.ada.id]):
            workspace.delete(alone)
        self.each(lambda page: expect(page.locator(".main .message.ephemeral")).to_have_count(0))

    @contextmanager
    def taller(self, by: int) -> Iterator[None]:
        """For what is longer than a screen."""
        for device, (width, height) in SIZES.items():
            self.pages[device].set_viewport_size({"width": width, "height": height + by})
        yield
        for device, (width, height) in SIZES.items():
            self.pages[device].set_viewport_size({"width": width, "height": height})

    def take(self, state: str, find: Callable[[Page], Locator], *texts: str) -> None:
        """Keeps a state, once what shows it is in sight and holds these texts."""
        for device, page in self.pages.items():
            shown = find(page)
            for text in texts:
                expect(shown).to_contain_text(text)
            expect(shown).to_be_in_viewport()
            page.mouse.move(0, 0)
            self.keep(page, f"{state}-{device}")

    def keep(self, page: Page, name: str) -> None:
        """Keeps what a page shows, light and dark."""
        for scheme in SCHEMES:
            if scheme == "light" or self.all_dark or f"{name}-dark" in SHOWN:
                page.emulate_media(color_scheme=scheme)
                page.screenshot(path=self.folder / f"{name}-{scheme}.png", animations="disabled", caret="hide")


def take_pictures(demo: Demo, browser: Browser, folder: Path, *, scale: float = 1, all_dark: bool = True) -> None:
    """Goes through all states, and keeps each. Fails where one does not come about or does not show what it should.

    `all_dark`: whether a state that the docs do not show dark is kept dark, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    studio = Studio(demo, browser, folder, scale=scale, all_dark=all_dark)
    try:
        number = _take_cards(studio)
        _take_page(studio, number)
        _take_forms(studio, number)
        _take_conversations(studio, number)
        _take_answers(studio)
        studio.go("home")
        studio.take("home", lambda page: page.locator(".home-body"), "Refunds wait longer")
    finally:
        studio.close()


def _take_cards(studio: Studio) -> int:
    """The card while its alert fires, and what is done about it. Gives its number."""
    demo, company = studio.demo, studio.demo.company
    studio.go(company.checkout.id)
    [number] = demo.alerts.post_alert(FIRST[0])

    def find(page: Page) -> Locator:
        return card(page, number)

    studio.take("card-open", find, TITLE, "Warning", "9.8% of the requests")
    demo.alerts.post_alert(FIRST[1])
    studio.take("card-critical", find, TITLE, "Critical", "31% of the requests", "Runbook")
    demo.ask(company.ben.id, f"ack {number}")
    demo.ask(
        company.ben.id, f"comment {number} {company.ada.at} can you help me with this? It began with release 4271."
    )
    demo.ask(company.ada.id, f"ack {number}")
    studio.clear()
    studio.take("card-acknowledged", find, TITLE, "Ada Obi", "Ben Tal", "can you help me")
    demo.ask(company.ben.id, f"take {number}")
    studio.clear()
    studio.take("card-owned", find, TITLE, "Owned by Ben Tal")
    return number


def _take_forms(studio: Studio, number: int) -> None:
    demo, desktop = studio.demo, studio.pages["desktop"]

    def find(page: Page) -> Locator:
        return page.get_by_role("dialog")

    studio.each(lambda page: card(page, number).locator(".overflow").click())
    studio.take("menu", lambda page: page.get_by_role("menu"), "View", "Comment")
    studio.each(leave_menu)
    choose_in_menu(card(desktop, number), "View")
    studio.take("view-form", find, TITLE, "Critical")
    studio.leave_form()
    choose_in_menu(card(desktop, number), "Activity")
    studio.take("activity-form", find, "Ben Tal")
    studio.leave_form()
    choose_in_menu(card(desktop, number), "Comment")
    for page in studio.pages.values():
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_role("dialog").get_by_label("Comment").fill("Rolling back to *4270*. @payments, watch the queue")
    studio.take("comment-form", find, f"Comment #{number}", TITLE)
    studio.leave_form()
    card(desktop, number).get_by_role("button", name="Resolve").click()
    studio.take("resolve-form", find, "Resolve")
    studio.leave_form()
    for state, words, text in (("declare-form", "declare", "Declare"), ("digest-form", "digest", "digest")):
        demo.ask(demo.company.ada.id, words)
        studio.take(state, find, text)
        studio.leave_form()


def _take_conversations(studio: Studio, number: int) -> None:
    """The card's thread, the direct message, and the card once it is resolved."""
    demo, company = studio.demo, studio.demo.company
    root = next(seen for seen in demo.slack.messages(company.checkout) if f"#{number} " in seen.text)
    company.ada.reply(root, "On it. Rolling back to 4270, the queue of payments drains meanwhile.")
    company.ben.reply(root, "Thank you! I'll let support know.")
    studio.go(f"{company.checkout.id}/{root.ts}")
    studio.each(lambda page: page.get_by_label("Reply in the thread").focus())
    studio.take("thread", lambda page: page.locator(".thread-pane"), TITLE, "can you help me", "let support know")
    choose_in_menu(card(studio.pages["desktop"], number), "Activity")
    studio.each(lambda page: page.get_by_role("dialog").get_by_role("button", name="Delete").first.click())
    studio.take("question", lambda page: page.locator("dialog.confirm"), "Delete")
    for page in studio.pages.values():
        page.keyboard.press("Escape")
        expect(page.locator("dialog.confirm")).to_have_count(0)
    studio.leave_form()
    studio.go("D" + company.ada.id[1:])
    studio.take("direct-message", lambda page: message(page, f"#{number} "), TITLE)
    demo.ask(company.ben.id, f"resolve {number} Rolled back to 4270, rates are normal.")
    studio.take("direct-message-resolved", lambda page: message(page, f"#{number} "), "Rolled back to 4270")
    studio.go(company.checkout.id)
    studio.take("card-resolved", lambda page: card(page, number), TITLE, "Resolved by Ben Tal", "Rolled back to 4270")


def _take_answers(studio: Studio) -> None:
    """A digest with its picture, and the answers to commands, each typed on both pages."""
    demo, company = studio.demo, studio.demo.company
    demo.ask(company.ada.id, 'digest add "weekdays at 9"')
    _post_digest(demo)
    studio.clear()

    def find_digest(page: Page) -> Locator:
        picture = page.locator(".main .message:not(.ephemeral)").locator("img.picture").last
        picture.evaluate("image => image.decode()")
        return page.locator(".main .message:not(.ephemeral)", has=page.locator("img.picture")).last

    with studio.taller(600):
        studio.take("digest", find_digest, "open incidents")
    studio.go(company.general.id)
    demo.slack.who(company.ada.id).command(COMMAND, "list", channel=company.general)
    studio.pages["desktop"].locator(".main .ephemeral").get_by_role("button", name="Filter").click()
    studio.take("filter-form", lambda page: page.get_by_role("dialog"), "Filter")
    studio.leave_form()
    studio.clear()
    demo.ask(company.ben.id, "take 22")
    for state, words, text in (
        ("list", "list", "Open incidents"),
        ("list-all", "list all since:14d", "All incidents"),
        ("view", "view 5", "DNS answers with SERVFAIL"),
        ("help", "help", "/incident"),
        ("help-command", "help list", "list"),
        ("mistake", "resolve", ""),
        ("take-over", "take 22", "Ben Tal has owned"),
        ("digest-list", "digest list", "Ada Obi"),
        ("whoami", "whoami", "Ada Obi"),
    ):
        for device, page in studio.pages.items():
            type_command(page, f"{COMMAND} {words}")
            answer = page.locator(".main .message.ephemeral").last
            expect(answer).to_contain_text(text)
            _take_one(studio, page, f"{state}-{device}", answer)


def _post_digest(demo: Demo) -> None:
    """Has the digest posted with its picture, which on a busy machine may not be drawn in time at first."""

    def posted() -> list[SeenMessage]:
        return [seen for seen in demo.slack.messages(demo.company.checkout) if "open incidents" in seen.text]

    for _ in range(4):
        before = len(posted())
        demo.ask(demo.company.ada.id, "digest now 1")
        demo.slack.wait_until(lambda count=before: len(posted()) > count, what="a digest")  # type: ignore[misc]
        if any(block["type"] == "image" for block in posted()[-1].blocks):
            return
    raise AssertionError("no digest had its picture")


def _take_one(studio: Studio, page: Page, name: str, shown: Locator) -> None:
    """An answer that this page asked for. It does not stand in front of the next one."""
    expect(shown).to_be_in_viewport()
    studio.keep(page, name)
    studio.clear()


def _take_page(studio: Studio, number: int) -> None:
    """What the page has beside Slack: the guided path and the inspector."""
    company = studio.demo.company
    studio.demo.slack.guide(
        [
            {"title": "Acknowledge it", "text": "", "as": company.ada.id, "place": "", "done": True},
            {
                "title": "Comment, and bring your team in",
                "text": "Choose `Comment` in the card's `⋯` menu, and mention a team as `@payments`.",
                "as": company.ada.id,
                "place": company.checkout.id,
                "done": False,
            },
            {"title": "Resolve it", "text": "Press `Resolve`.", "as": company.ada.id, "place": "", "done": False},
        ]
    )
    studio.each(lambda page: page.get_by_role("button", name="Guided path").last.click())
    studio.take("guide", lambda page: page.get_by_role("complementary", name="Guided path"), "bring your team in")
    studio.each(lambda page: page.get_by_role("button", name="Close the guided path").click())
    studio.each(lambda page: use_tool(card(page, number), "Inspect"))
    verdict = "Slack would take this"
    studio.take("inspector", lambda page: page.get_by_role("complementary", name="Inspector"), verdict)
    studio.each(lambda page: page.get_by_role("button", name="Close the inspector").click())


def main() -> int:
    """Takes every picture; 1 where there is no chromium."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.pictures", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="Where all pictures go; default: those of the docs.")
    folder: Path | None = parser.parse_args().folder
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.stderr.write("chromium is not installed (on Debian: apt-get install chromium)\n")
        return 1
    expect.set_options(timeout=WAIT_MS)
    configure(LogLevel.WARNING, LogFormat.CONSOLE)
    with tempfile.TemporaryDirectory() as scratch, scratch_postgres() as url, sync_playwright() as playwright:
        migrate(normalise_url(url))
        store = Store.open(url)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with open_demo(store) as demo:
            take_pictures(demo, browser, folder or Path(scratch), scale=1 if folder else 1.5)
        browser.close()
        store.close()
        if folder is None:
            _replace_images(Path(scratch))
    return 0


def _replace_images(made: Path) -> None:
    """Puts the pictures of the docs into their folder, in a quarter of the size."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for old in IMAGES.glob("*.png"):
        old.unlink()
    for name in SHOWN:
        with Image.open(made / f"{name}.png") as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    sys.exit(main())
