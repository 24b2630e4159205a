"""The commands in README.md and docs/responding.md, generated from the declarations of the commands.

`python -m bot.readme` fails if one of the pages is out of date (CI runs this); `--write` updates them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bot.handlers.verb import Registry
from bot.messages.help import Topic

ROOT = Path(__file__).resolve().parent.parent
_BEGIN = "<!-- commands: made by `python -m bot.readme --write` -->\n"
_END = "<!-- end of commands -->\n"
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


PAGES: Mapping[str, Callable[[Sequence[Topic]], str]] = {
    "README.md": render_table,
    "docs/responding.md": render_sections,
}


def replace_commands(text: str, commands: str) -> str:
    """The page's text with these commands. Raises ValueError if the lines around them are missing."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page should have the lines {_BEGIN.strip()} and {_END.strip()}")
    return f"{before}{begin}{commands}{end}{after}"


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Checks the pages below `root`, or updates them. Returns 1 if one is out of date."""
    topics, outdated = Registry.collect().verbs, []
    for name, render in PAGES.items():
        present = (root / name).read_text(encoding="utf-8")
        wanted = replace_commands(present, render(topics))
        if "--write" in arguments:
            (root / name).write_text(wanted, encoding="utf-8")
        elif present != wanted:
            outdated.append(name)
    if outdated:
        names = ", ".join(outdated)
        print(f"The commands in {names} are not up to date: python -m bot.readme --write", file=sys.stderr)  # noqa: T201
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
