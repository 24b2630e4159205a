"""Reading what people type."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.incidents.errors import InvalidInput
from bot.incidents.filters import KEYS, SHOWS, ListQuery, parse_query
from bot.incidents.markup import decode_slack_text, encode_entities, require_storable, unescape
from bot.incidents.plain_text import ZERO_WIDTH_SPACE
from bot.incidents.words import (
    find_closest,
    parse_lone_number,
    parse_number,
    parse_number_and_text,
    shorten,
    split_first_word,
    tokenize,
    unquote,
)

BLANKS = " \t\n\u00a0\u202f\u3000"
QUOTES = "\"'“”„‘’«»"
TYPED = st.text(st.sampled_from("ab:,#" + BLANKS + QUOTES + "🔥\\") | st.characters(), max_size=60)


@given(TYPED)
def test_any_line_is_read_or_refused(line: str) -> None:
    try:
        found = tokenize(line)
    except InvalidInput:
        return
    assert [token.start for token in found] == sorted(token.start for token in found)
    for token in found:
        assert token.text in line[token.start : token.end]
        assert token.quoted or not any(sign.isspace() for sign in token.text)
    # Nothing between the words but blanks.
    places = [0, *(place for token in found for place in (token.start, token.end)), len(line)]
    between = zip(places[::2], places[1::2], strict=True)
    assert not "".join(line[start:end] for start, end in between).strip()


def test_a_line_of_forty_thousand_quotes_is_read_in_one_go() -> None:
    for line in ("“x " * 13_000, "'x " * 13_000, "“" * 40_000, "'" * 40_000, '"" ' * 13_000, "a:'b " * 8_000):
        try:
            tokenize(line)
        except InvalidInput as refusal:
            assert "never closed" in refusal.sentence


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("a b", ["a", "b"]),
        ('"a b" c', ["a b", "c"]),
        ("“a b” „c d“ «e f» ‘g h’", ["a b", "c d", "e f", "g h"]),
        ("it's can’t 'em", ["it's", "can’t", "'em"]),
        ("the dogs' bowls", ["the", "dogs'", "bowls"]),
        ('5" pipe', ['5"', "pipe"]),
        ("a\u00a0b\u3000c", ["a", "b", "c"]),
        ("https://x.test/a?b=c", ["https://x.test/a?b=c"]),
        ('""', [""]),
    ],
)
def test_quotes_and_blanks(line: str, texts: list[str]) -> None:
    assert [token.text for token in tokenize(line)] == texts


def test_options_have_a_key_and_links_none() -> None:
    found = tokenize('Team:payments env:"prod eu" https://x.test:80/ 12:30')
    assert [(token.key, token.text) for token in found] == [
        ("team", "payments"),
        ("env", "prod eu"),
        (None, "https://x.test:80/"),
        (None, "12:30"),
    ]


@given(TYPED)
def test_first_word_and_rest_lose_nothing_but_blanks(line: str) -> None:
    word, rest = split_first_word(line)
    assert "".join((word + rest).split()).lower() == "".join(line.split()).lower()


@pytest.mark.parametrize("typed", ["12", "#12", " 12 ", "#012", "<#C1|12>"])
def test_numbers(typed: str) -> None:
    assert parse_number(typed, "view N") == 12


@pytest.mark.parametrize("typed", ["", "#", "x", "1x", "-1", "1.0", "²", "١٢", "\uff11\uff12", "##1", "0x1"])
def test_what_is_no_number(typed: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_number(typed, "view N")
    assert refused.value.form == "view N"


@pytest.mark.parametrize("typed", ["12 13", "#12, #13", "12,13", "12 and 13", "12+13/14"])
def test_several_numbers_are_refused_with_the_form_for_one(typed: str) -> None:
    for parse in (parse_number_and_text, parse_lone_number):
        with pytest.raises(InvalidInput, match="One incident at a time") as refused:
            parse(typed, "resolve N [comment]")
        assert str(refused.value.form).startswith("resolve 12")


def test_a_text_may_follow_a_number() -> None:
    assert parse_number_and_text("#12 13 replicas are back", "resolve N [comment]") == (12, "13 replicas are back")
    assert parse_number_and_text("12.", "resolve N [comment]") == (12, "")


def test_unquoted_takes_one_pair_that_stands_around_the_whole() -> None:
    assert unquote('"a b"') == "a b"
    assert unquote("“a” and “b”") == "“a” and “b”"
    assert unquote('"') == '"'


@given(st.text(max_size=200), st.integers(2, 80))
@example(">", 2)
def test_shortened_never_shows_more(text: str, length: int) -> None:
    assert len(shorten(text, length).replace(ZERO_WIDTH_SPACE, "")) <= length


def test_closest_offers_only_what_is_close() -> None:
    assert find_closest("reslove", ["resolve", "reopen"]) == "resolve"
    assert find_closest("zzz", ["resolve", "reopen"]) is None


# --- the filters of a list ---------------------------------------------------------------------------------

WORD = st.text(st.sampled_from("abc:,%_\\-" + BLANKS + QUOTES) | st.characters(), max_size=12)
PART = st.one_of(
    st.sampled_from([*SHOWS, "Resolved", "seen:no", "following:yes", "team:mine", "since:7d", "until:2026-11-01"]),
    WORD,
    st.builds('"{}"'.format, WORD),
    st.builds("“{}”".format, WORD),
    st.builds("{}:{}".format, st.sampled_from(KEYS), WORD),
    st.builds('{}:"{}"'.format, st.sampled_from(KEYS), WORD),
)


@given(st.lists(PART, max_size=6).map(" ".join))
def test_a_query_written_back_is_the_same_query(line: str) -> None:
    try:
        query = parse_query(line)
    except InvalidInput:
        return
    assert parse_query(str(query)) == query


@pytest.mark.parametrize(
    "line",
    [
        *('team:"a b"', 'team:"a b,c"', 'project:"x\ty"', 'env:"a\u00a0b"', 'since:"7 d"', "env:'x", 'env:"it’s"'),
        *('"“"', '"“” x"', "'“'", "project:'a\" b'", 'project:"“a”"', "'say \"hi\" now'", '"seen:no"', "'open'"),
    ],
)
def test_a_query_with_blanks_and_quotes_in_it_is_the_same_too(line: str) -> None:
    assert parse_query(str(parse_query(line))) == parse_query(line)


@pytest.mark.parametrize("line", ["team:", "team:,", 'team:","', 'env:"“"', 'env:""', "project:“”", "since:"])
def test_an_option_of_nothing_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput, match="needs a value"):
        parse_query(line)


def test_a_query_is_written_as_people_would() -> None:
    assert str(parse_query("")) == "open"
    assert str(parse_query('ALL "card payments" TEAM:Payments,mine env:prod since:7d seen:no')) == (
        'all "card payments" team:payments,mine env:prod since:7d seen:no'
    )
    assert parse_query("Resolved").show == "closed"
    assert parse_query("open critical") == ListQuery("open", ("critical",))  # a word of the title
    assert parse_query('"critical"') == ListQuery("open", ("critical",))


# --- markup ------------------------------------------------------------------------------------------------


@given(st.text())
def test_what_is_encoded_reads_as_it_was(text: str) -> None:
    assert unescape(encode_entities(text)) == text
    assert decode_slack_text(encode_entities(text)) == text


@pytest.mark.parametrize(
    ("encoded", "typed"),
    [
        ("<@U1|ada> and <@U2>", "@ada and @U2"),
        ("<#C1|random> <#C2>", "#random #C2"),
        ("<!subteam^S1|@payments> <!here> <!channel|channel>", "@payments @here channel"),
        ("<https://x.test/a?b=1&amp;c=2|x.test>", "https://x.test/a?b=1&c=2"),
        ("<mailto:a@x.test|a@x.test>", "a@x.test"),
        ("&lt;@U1&gt;", "<@U1>"),
        ("<tel:+441632960961|01632 960961>", "01632 960961"),
        # What Slack did not encode came as somebody typed it.
        ("a <b>bold</b> <script>x</script> List<T> <a|b> < >", "a <b>bold</b> <script>x</script> List<T> <a|b> < >"),
    ],
)
def test_what_slack_encodes_reads_as_it_was_typed(encoded: str, typed: str) -> None:
    assert decode_slack_text(encoded) == typed


def test_what_cannot_be_stored_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidInput, match=r"Character 3 of your text \(U\+0000\)"):
        require_storable("ab\x00")
    assert require_storable("all else 🔥 \u202e") == "all else 🔥 \u202e"
