"""The README's table of commands, generated from the declarations of the commands.

`python -m bot.readme` fails if the table is out of date (CI runs this); `--write` updates it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bot.handlers.verb import Registry
from bot.messages.help import Topic

README = Path(__file__).resolve().parent.parent / "README.md"
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


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|")


def replace_table(text: str, topics: Sequence[Topic]) -> str:
    """The README's text with a new table. Raises ValueError if the lines around the table are missing."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"README.md should have the lines {_BEGIN.strip()} and {_END.strip()}")
    return f"{before}{begin}{render_table(topics)}{end}{after}"


def main(arguments: Sequence[str]) -> int:
    """Checks the table, or updates it. Returns 1 if it is out of date."""
    present = README.read_text(encoding="utf-8")
    wanted = replace_table(present, Registry.collect().verbs)
    if "--write" in arguments:
        README.write_text(wanted, encoding="utf-8")
    elif present != wanted:
        print("The commands in README.md are not up to date: python -m bot.readme --write", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
