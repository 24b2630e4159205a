"""The commands and settings in README.md, docs/responding.md and docs/settings.md, generated from the code.

`python -m bot.readme` fails if one of the pages is out of date (CI runs this); `--write` updates them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot import settings_page
from bot.handlers.verb import Registry
from bot.messages.help import Topic

ROOT = Path(__file__).resolve().parent.parent
_HELP = ("help [command]", "What can be done, with examples.")


def render_table(topics: Sequence[Topic]) -> str:
    """A Markdown table with a row for each command."""
    rows = [_HELP, *((topic.usage, topic.summary) for topic in topics)]
    return "\n".join(
        [
            "| `/incident …` | does |",
            "|---|---|",
            *(f"| `{_escape_cell(usage)}` | {_escape_cell(does)} |" for usage, does in rows),
            "",
        ]
    )


def render_sections(topics: Sequence[Topic]) -> str:
    """A Markdown section for each command, with examples, as `help` shows it."""
    return "\n".join(_render_section(topic) for topic in topics)


def _render_section(topic: Topic) -> str:
    examples = "\n".join(f"/incident {example}" for example in topic.examples)
    return f"### {topic.name}\n\n`{topic.usage}`\n\n{topic.summary}\n\n```\n{examples}\n```\n"


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page that is generated, between two lines that name it."""

    page: str
    name: str
    render: Callable[[], str]

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: made by `python -m bot.readme --write` -->\n"

    @property
    def end(self) -> str:
        return f"<!-- end of {self.name} -->\n"

    def replace(self, text: str) -> str:
        """The page's text with this part anew. Raises ValueError if the lines around it are missing."""
        before, begin, rest = text.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            raise ValueError(f"{self.page} should have the lines {self.begin.strip()} and {self.end.strip()}")
        return f"{before}{begin}{self.render()}{end}{after}"


PARTS: Sequence[Part] = (
    Part("README.md", "commands", lambda: render_table(Registry.collect().verbs)),
    Part("README.md", "settings", settings_page.render_short_table),
    Part("docs/responding.md", "commands", lambda: render_sections(Registry.collect().verbs)),
    Part("docs/settings.md", "settings", settings_page.render_settings),
)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Checks the pages below `root`, or updates them. Returns 1 if one is out of date."""
    outdated = []
    for part in PARTS:
        page = root / part.page
        present = page.read_text(encoding="utf-8")
        wanted = part.replace(present)
        if "--write" in arguments:
            page.write_text(wanted, encoding="utf-8")
        elif present != wanted:
            outdated.append(f"{part.name} of {part.page}")
    if outdated:
        print(f"Not up to date: {', '.join(outdated)}: python -m bot.readme --write", file=sys.stderr)  # noqa: T201
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
