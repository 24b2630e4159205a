"""The page of messages has every text that people read in Slack, and is out of date as soon as there is another one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bot import sentences

# A text of each kind of place, with the package that it is in.
KNOWN = {
    "handlers": "ack 12",  # an example in `help`
    "messages": "Acknowledge",  # a label
    "incidents": "Only its author can edit or delete a comment.",  # a refusal
    "people": "#{name} is archived.",  # with a value
    "digests": "Incidents by day",
    "slack": "Declare an incident",  # of the app's manifest
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repository with some of the bot's code and an up-to-date page."""
    for path in ("handlers/whoami.py", "handlers/acknowledge.py", "incidents/errors.py", "messages/notification.py"):
        (tmp_path / "bot" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sentences.ROOT / "bot" / path, tmp_path / "bot" / path)
    (tmp_path / "docs").mkdir()
    assert sentences.main([], tmp_path) == 1
    assert sentences.main(["--write"], tmp_path) == 0
    assert sentences.main([], tmp_path) == 0
    return tmp_path


def test_texts_of_each_kind_are_on_the_page() -> None:
    found = sentences.collect(sentences.ROOT)
    for package, text in KNOWN.items():
        texts = {one.text for module in found[package] for one in module.sentences}
        assert text in texts, package


def test_a_text_has_the_occasion_on_which_people_see_it(copy: Path) -> None:
    shown = write_module(
        copy,
        '''
        """`link`: where a card stands."""
        USAGE = "link N"
        def handle_command(words):
            """`link N`."""
            return _sentence(words or USAGE)
        def _sentence(words):
            return f"You asked for {escape(f'link {words}')}, {shorten(words)}." + (" Twice." if words else "")
        HANDLES = Verb(usage=USAGE, summary="The link to it.")
        ''',
    )
    assert shown == [
        ("link N", "`link N`."),
        ("You asked for link {words}, {words}.[ Twice.]", "`link N`."),
        ("The link to it.", "In `help`."),
    ]


def test_what_nobody_reads_in_slack_is_not_on_the_page(copy: Path) -> None:
    shown = write_module(
        copy,
        '''
        """What the module is for."""
        REASONS = {"groups:read": "to read groups"}  # not shown
        def handle(words):
            """What the function is for."""
            log.warning("a line of the log", what=f"the {words} of it")
            if words == "two words" or not re.match("an? expression", words):
                raise ValueError("a mistake of a programmer")
            return "plain", f"reply to:{words}", f"{words}/archives/{words}"
        ''',
    )
    assert shown == []


def test_a_new_text_makes_the_check_fail_until_the_page_is_written(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = copy / "bot" / "handlers" / "whoami.py"
    module.write_text(module.read_text(encoding="utf-8") + '\nNEW = "You are [somebody] | new."\n', encoding="utf-8")
    assert sentences.main([], copy) == 1
    assert "python -m bot.sentences --write" in capsys.readouterr().err
    assert sentences.main(["--write"], copy) == 0
    assert r"| You are \[somebody\] \| new. |" in (copy / sentences.PAGE).read_text(encoding="utf-8")
    assert sentences.main([], copy) == 0


def write_module(copy: Path, source: str) -> list[tuple[str, str]]:
    """Adds a module to the copy, and gives the texts that are found in it with their occasions."""
    lines = [line.removeprefix(" " * 8) for line in source.strip("\n").splitlines()]
    (copy / "bot" / "handlers" / "added.py").write_text("\n".join(lines), encoding="utf-8")
    modules = [one for one in sentences.collect(copy)["handlers"] if one.path.endswith("/added.py")]
    return [(one.text, one.occasion) for module in modules for one in module.sentences]
