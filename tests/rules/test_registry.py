"""What modules of handlers declare is found, in the order of `help`, and claimed once."""

from __future__ import annotations

import pytest

from bot.handlers.verb import Feature, Registry, Verb
from bot.messages.help import Group
from bot.slack.responses import Done


def verb(name: str, group: Group = Group.WORK, **more: object) -> Verb:
    values: dict[str, object] = {
        "name": name,
        "usage": f"{name} N",
        "summary": "Does it.",
        "examples": (f"{name} 12",),
        "group": group,
        "command": lambda *_: Done(),
        **more,
    }
    return Verb(**values)  # type: ignore[arg-type]


def test_every_module_is_found_without_being_named() -> None:
    registry = Registry.collect()
    assert {"list", "view", "ack", "resolve", "digest", "whoami"} <= registry.commands.keys()
    assert registry.commands["seen"] is registry.commands["ack"]
    assert {"acknowledge", "pick_acknowledge", "home_next"} <= registry.buttons.keys()
    assert registry.verbs[0].name == "list"


def test_help_has_verbs_in_the_order_of_their_groups() -> None:
    registry = Registry.of([verb("me", Group.CALLER), verb("fix"), verb("look", Group.READ), verb("mend")])
    assert [one.name for one in registry.verbs] == ["look", "fix", "mend", "me"]


@pytest.mark.parametrize(
    "features",
    [
        [verb("ack"), verb("ack")],
        [verb("ack"), verb("see", aliases=("ack",))],
        [Feature(buttons={"go": lambda *_: Done()}), verb("ack", buttons={"go": lambda *_: Done()})],
        [Feature(forms={"go": lambda *_: Done()}), Feature(forms={"go": lambda *_: Done()})],
    ],
)
def test_what_two_modules_claim_is_a_mistake(features: list[Feature]) -> None:
    with pytest.raises(ValueError, match=r"two modules of bot\.handlers claim “(ack|go)”"):
        Registry.of(features)


def test_a_word_of_another_tool_means_the_verb_that_names_it() -> None:
    registry = Registry.of([verb("resolve", synonyms=("close",)), verb("list", Group.FIND)])
    assert registry.suggest("close") == "resolve"
    assert registry.suggest("lsit") == "list"
    assert registry.suggest("xyzzy") is None


def test_only_a_typo_means_a_command_that_changes_something() -> None:
    registry = Registry.of([verb("take"), verb("declare", Group.OPEN), verb("whoami", Group.CALLER)])
    for typed in ("tkae", "atke", "tak", "takee", "tske", "ttake", "ake"):
        assert registry.suggest(typed) == "take", typed
    for typed in ("token", "tasked", "declared it", "tae4", "eat"):
        assert registry.suggest(typed) is None, typed
    assert registry.suggest("whoamii!") == "whoami"
