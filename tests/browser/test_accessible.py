"""axe finds nothing serious in any main state of the page: light and dark, on a desktop and on a telephone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.browser.conftest import (
    OpenWindow,
    card,
    expect_no_dialog,
    leave_dialog,
    leave_menu,
    message,
    type_command,
    use_tool,
    visit,
)
from tests.stories.conftest import World

GUIDE = [
    {"title": "Look around", "text": "Press *Acknowledge*.", "as": "U0001", "place": "C0001", "done": True},
    {"title": "Be somebody else", "text": "Type `/incident list`.", "as": "U0003", "place": "C0003", "done": False},
    {"title": "Go there", "text": "Press it.", "as": "U0001", "place": "home", "done": False},
]
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
# The schemes differ in their colours alone, so all other rules are asked once.
SCHEMES: dict[Literal["light", "dark"], dict[str, list[str]]] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}


def find_faults(page: Page, state: str) -> list[str]:
    """What axe finds serious in the page as it is, in both colour schemes."""
    found = []
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    for scheme, rules in SCHEMES.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for violation in page.evaluate("options => axe.run(options)", rules)["violations"]:
            if violation["impact"] in ("serious", "critical"):
                nodes = "\n    ".join(
                    f"{node['html'][:150]} {node['any'][0]['message'][:150] if node['any'] else ''}"
                    for node in violation["nodes"][:4]
                )
                found.append(f"{state}, {scheme}: {violation['id']}: {violation['help']}\n    {nodes}")
    return found


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(world: World, window: OpenWindow, width: int) -> None:
    number = world.declare("Checkout answers 502", by=world.ben, options="critical project:checkout")
    done = world.declare("It was the cache", by=world.ben, options="warning project:checkout")
    world.ask(world.ben, f"comment {number} @ada can you *help*? See `the log` at https://example.com")
    world.ask(world.ben, f"resolve {done} rolled back")
    world.ben.upload(world.cast.checkout, "graph.png", PICTURE)
    world.ben.say(world.cast.checkout, "Look at <this> :tada: _soon_ @here")
    world.rest()
    world.slack.guide(GUIDE)
    page = window(world.ada, place="C0001", width=width)
    faults: list[str] = []

    def look(state: str, prepare: Callable[[], object] = lambda: None) -> None:
        prepare()
        faults.extend(find_faults(page, state))

    if width > 1000:
        expect(page.get_by_role("complementary", name="Guided path")).to_be_visible()
        look("channel and guide")
        page.get_by_role("button", name="Close the guided path").click()
    else:
        look("channel")
        page.get_by_role("button", name="Guided path").click()
        look("guide")
        page.get_by_role("button", name="Close the guided path").click()
        page.get_by_role("button", name="Show the list of conversations").click()
        look("list of conversations")
        page.get_by_role("button", name="You are Ada Obi").click()
        look("menu of people", lambda: expect(page.get_by_role("menu")).to_be_visible())
        leave_menu(page)
        page.get_by_role("button", name="Close the list").click()

    type_command(page, "/incident list")
    look("answer", lambda: expect(message(page, "Open incidents")).to_be_visible())
    message(page, "Open incidents").get_by_role("button", name="Filter").click()
    look("pickers", lambda: expect(page.get_by_role("dialog")).to_be_visible())
    leave_dialog(page)
    type_command(page, f"/incident comment {number} on it")
    expect(card(page, number)).to_contain_text("on it")
    expect(card(page, number)).to_contain_text("2 replies")
    type_command(page, f"/incident activity {number}")
    message(page, "Activity of").get_by_role("button", name="Delete").click()
    look("question", lambda: expect(page.locator("dialog.confirm")).to_be_visible())
    leave_dialog(page)
    card(page, number).locator(".overflow").click()
    look("menu of the card", lambda: expect(page.get_by_role("menu")).to_be_visible())
    leave_menu(page)
    use_tool(message(page, "Look at"), "More actions")
    look("tools", lambda: expect(page.get_by_role("menu")).to_be_visible())
    leave_menu(page)
    page.locator("#composer").fill("/inc")
    look("completion", lambda: expect(page.get_by_role("option", name="/incident")).to_be_visible())
    leave_menu(page)
    page.locator("#composer").fill("")

    card(page, number).get_by_role("button", name="Resolve").click()
    look("form", lambda: expect(page.get_by_role("dialog")).to_be_visible())
    leave_dialog(page)
    type_command(page, "/incident declare")
    look("form to declare", lambda: expect(page.get_by_role("dialog")).to_be_visible())
    page.get_by_role("dialog").get_by_role("combobox").first.click()
    look("select", lambda: expect(page.get_by_role("option").first).to_be_visible())
    leave_menu(page)
    page.get_by_role("dialog").locator("button[type=submit]").click()
    look("mistake", lambda: expect(page.get_by_role("dialog").get_by_role("alert").first).to_be_visible())
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect_no_dialog(page)

    page.get_by_role("button", name="Show large: graph.png").click()
    look("large picture", lambda: expect(page.get_by_role("dialog")).to_be_visible())
    leave_dialog(page)
    card(page, number).locator(".thread-line").click()
    look("thread", lambda: expect(page.get_by_role("complementary", name="Thread")).to_contain_text("can you help"))
    page.get_by_role("button", name="Close the thread").click()
    visit(page, "D0001")
    look("direct message", lambda: expect(message(page, "can you help")).to_be_visible())
    visit(page, "home")
    look("Home", lambda: expect(page.locator(".home")).to_contain_text("Checkout answers 502"))

    visit(page, "C0001")
    page.get_by_role("button", name="Inspector").last.click()
    pane = page.get_by_role("complementary", name="Inspector")
    look("wire", lambda: expect(pane.locator(".wire-line").first).to_be_visible())
    pane.get_by_role("tab", name="Trouble and time").click()
    look("trouble", lambda: expect(pane.get_by_label("Which methods")).to_be_visible())
    if width > 1000:
        use_tool(message(page, "Look at"), "Inspect")
        look("message inspected", lambda: expect(pane).to_contain_text("A person wrote this"))
    assert not faults, "\n".join(dict.fromkeys(faults))
