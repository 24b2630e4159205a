"""Plain names in hostile texts: whoever types them, reading them stays quick and everything typed stays there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.people.names import AmbiguousName, Directory, Named, find_code_and_links, find_names, fold

EVERYBODY = Directory(
    [
        Named.member(1, "Ada Obi", "ada@acme.test"),
        Named.member(2, "Ada Love", "lovelace@acme.test"),
        Named.member(3, "Mary O'Neil-Smith", "mos+work@acme.test"),
        Named.member(4, "", "x@acme.test"),
        Named.team(1, "On call", "on-call"),
    ]
)
typed = st.text(st.sampled_from("@adAobiLve on-cl'’./`\\<>&;:\n\u0301é#😀"), max_size=60)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("@ada.obi", ("person", 1, "")),
        ("@Ada Obi's", ("person", 1, "'s")),
        ("@Ada Love and me", ("person", 2, " and me")),
        ("@Mary", ("person", 3, "")),
        ("@Mary O’Neil Smith.", ("person", 3, ".")),
        ("@mos", ("person", 3, "")),
        ("@x", ("person", 4, "")),
        ("@On call, please", ("team", 1, ", please")),
        ("@oncall", ("team", 1, "")),
    ],
)
def test_who_is_meant(text: str, meant: tuple[str, int, str]) -> None:
    (found,) = find_names(text, 0, len(text))
    named = EVERYBODY.find(text, found, len(text))
    assert named is not None
    assert (named[0].kind, named[0].id, text[named[1] :]) == meant


@given(typed)
def test_a_name_lies_within_its_text_and_is_spelled_like_its_owner(text: str) -> None:
    for found in find_names(text, 0, len(text)):
        try:
            meant = EVERYBODY.find(text, found, len(text))
        except AmbiguousName as asked:
            assert "“@" in asked.sentence and " or " in asked.sentence
            continue
        if meant is not None:
            named, end = meant
            assert found.start() < end <= len(text)
            assert fold(text[found.start() : end]) in named.handles | named.full_names


@pytest.mark.parametrize(
    "text", ["@a." * 20_000, "a." * 20_000 + "@", "@" * 40_000, "`" * 39_999 + "@", "@a b " * 8_000]
)
def test_forty_thousand_characters_are_read_at_once(text: str) -> None:
    quoted = find_code_and_links(text)
    for found in find_names(text, 0, len(text)):
        assert EVERYBODY.find(text, found, len(text)) is None
    assert all(begin < end for begin, end in quoted)
