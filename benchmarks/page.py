"""What the sandbox's page costs: `python -m benchmarks.page [--rounds N]`. Needs chromium.

How soon the page can be used with 2,000 messages in the channel, and how soon a message that was changed by a press
is rendered: by the bot, which gets the press over Socket Mode and answers at its response URL, and as the floor by the
workspace alone, which takes a reaction. The bot's own share is the time from sending it the press to its answer.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import environment
from bot.demo.company import ORGANIZATION, Company, create_company
from bot.organization.apply import apply
from bot.organization.file import parse
from bot.slack.manifest import manifest
from sandbox import Sandbox
from storage.embedded import scratch_postgres
from storage.engine import Store
from storage.migrate import migrate
from tests.browser.conftest import FLAGS

MESSAGES = 2000
WARM_UP = 10
COMMAND = "/incident"

# Notes when the newest message stands in the document and the field for one's own can take words.
READY = """
new MutationObserver(() => {
  if (window.ready || !document.activeElement?.matches('#composer')) return;
  if (!document.querySelector('.main .message')) return;
  requestAnimationFrame(() => setTimeout(() => { window.ready ??= performance.now(); }));
}).observe(document, { childList: true, subtree: true, attributes: true });
"""

# Gives the moment that READY noted. (Playwright's own waiting needs `eval`, which the page forbids.)
WHEN_READY = """
() => new Promise(resolve => {
  const look = () => (window.ready ? resolve(window.ready) : setTimeout(look, 5));
  look();
})
"""

# Presses a button of the last message, and gives the milliseconds until the list of messages was drawn changed.
PRESS = """
label => new Promise(resolve => {
  const list = document.querySelector('.main .messages');
  const message = [...list.querySelectorAll('.message')].at(-1);
  const named = one => (one.ariaLabel ?? one.textContent).startsWith(label);
  const button = [...message.querySelectorAll('button')].find(named);
  const began = performance.now();
  const observer = new MutationObserver(() => {
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
  });
  observer.observe(list, { childList: true });
  button.click();
})
"""


def main() -> None:
    """Prints a table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="presses measured for each figure")
    rounds: int = parser.parse_args().rounds
    with scratch_postgres() as url, Sandbox() as slack, sync_playwright() as playwright:
        migrate(url)
        store = Store.open(url)
        apply(store, parse(ORGANIZATION, "organization"), store.clock.now(), prune=False, dry_run=False)
        store.close()
        slack.install(manifest(COMMAND, None))
        company = create_company(slack)
        for number in range(MESSAGES):
            company.people[number % 3].say(company.general, f"Message {number} of a channel that is much used.")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        print("| what | p50 ms | p95 ms | bot's share p50 ms |\n|---|---:|---:|---:|")
        _row(f"page ready, {MESSAGES:,} messages", [_opened(browser, slack, company) for _ in range(10)])
        page = browser.new_page()
        page.goto(_address(slack, company))
        page.wait_for_selector(".main .message")
        with _bot(slack, url):
            _measure(slack, company, page, rounds)
        browser.close()
        slack.problems.clear()


def _measure(slack: Sandbox, company: Company, page: Page, rounds: int) -> None:
    message = company.ben.say(company.general, "A message to react to.")
    company.ben.react(message, "eyes")
    page.locator(".reaction").last.wait_for()
    _row("press to rendered, a reaction (no app)", _presses(page, "eyes", rounds))

    company.ada.command(COMMAND, "declare project:checkout Something is slow", channel=company.general)
    company.ada.command(COMMAND, "view 1", channel=company.general)
    page.locator(".main .message.ephemeral", has_text="Started").last.wait_for()
    _presses(page, "Acknowledge", WARM_UP)
    before = len(slack.traffic)
    times = _presses(page, "Acknowledge", rounds)
    slack.settle()
    _row("press to rendered, Acknowledge", times, _shares(slack, before))


def _shares(slack: Sandbox, since: int) -> list[float]:
    """Milliseconds from each press that the bot was sent to its answer."""
    presses = [x.at for x in slack.traffic[since:] if x.name == "block_actions"]
    answers = [x.at for x in slack.traffic[since:] if x.kind == "response_url"]
    return [(answer - press) * 1000 for press, answer in zip(presses, answers, strict=True)]


def _presses(page: Page, label: str, rounds: int) -> list[float]:
    return [float(page.evaluate(PRESS, label)) for _ in range(rounds)]


def _opened(browser: Browser, slack: Sandbox, company: Company) -> float:
    """Milliseconds from asking for the page until it can be used."""
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(READY)
    page.goto(_address(slack, company))
    ready = float(page.evaluate(WHEN_READY))
    context.close()
    return ready


def _address(slack: Sandbox, company: Company) -> str:
    return f"http://127.0.0.1:{slack.port}/?as={company.ada.id}#{company.general.id}"


def _row(what: str, times: list[float], shares: list[float] | None = None) -> None:
    share = f"{statistics.median(shares):.1f}" if shares else ""
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"| {what} | {statistics.median(times):.1f} | {p95:.1f} | {share} |", flush=True)


@contextmanager
def _bot(slack: Sandbox, url: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "bot.cli", "serve"], env=environment.of_bot(slack, url))
    try:
        slack.wait_until_connected(timeout=60)
        yield
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
