"""Organization files and filters, bent: each is taken whole, or refused in a sentence that says where."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from bot.incidents import filters
from bot.incidents.errors import InvalidInput
from bot.organization.apply import NotApplicable, apply
from bot.organization.file import BadFile, load
from tests.hardening.conftest import cases
from tests.hardening.rig import Rig
from tests.hardening.test_fuzz import sentences
from tests.stories.conftest import ORGANIZATION

TREE: dict[str, Any] = yaml.safe_load(ORGANIZATION)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.floats(),
    st.text(max_size=12),
    st.dates(),
    st.sampled_from(
        [
            *("acme", "payments", "search", "checkout", "ada@acme.test", "ADA@acme.test", "U0001", "C0001", "T0001"),
            *(
                "owner",
                "member",
                "king",
                "on",
                "~",
                "<<",
                "a b",
                "x" * 300,
                "1" * 60,
                "\x00",
                "\ud800",
                "é@x",
                "@",
                "a@",
            ),
        ]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["slug", "name", "teams", "email", "role", "x"]) | scalars, inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def bent_trees(draw: st.DrawFn) -> Any:
    """The organization with some of it taken out, doubled, replaced or moved."""
    tree: Any = copy.deepcopy(TREE)
    for _ in range(draw(st.integers(1, 4))):
        if not isinstance(tree, dict | list) or not tree:
            return draw(values)
        place: Any = tree
        while True:
            key = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                place = inner
                continue
            break
        match draw(st.sampled_from(["replace", "delete", "double", "add"])):
            case "replace":
                place[key] = draw(values)
            case "delete":
                del place[key]
            case "double" if isinstance(place, list):
                place.append(copy.deepcopy(inner))
            case _ if isinstance(place, dict):
                place[draw(st.sampled_from(["slug", "prune", "superuser", "teams"]))] = draw(values)
    return tree


@st.composite
def bent_texts(draw: st.DrawFn) -> str:
    """The file with some of its text cut, repeated or overwritten."""
    text = ORGANIZATION
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        filling = draw(
            st.one_of(
                st.just(""),
                st.just(text[start:end] * 2),
                st.sampled_from(
                    [*":-{}[]&*!|>'\"%@`#?,", "\t", "\n", "\n---\n", "&a [*a]", "!!python/object:os.system {}"]
                ),
                st.text(max_size=6),
            )
        )
        text = text[:start] + filling + text[end:]
    return text


def written(tree: Any) -> bytes:
    try:
        return yaml.safe_dump(tree, allow_unicode=True).encode("utf-8")
    except (yaml.YAMLError, UnicodeEncodeError):
        return yaml.safe_dump(tree).encode("utf-8", "replace")


@cases(150, 0.01)
@given(content=bent_trees().map(written) | bent_texts().map(lambda text: text.encode("utf-8", "replace")) | st.binary())
@example(content=ORGANIZATION.replace("superuser: true", "superuser: []").encode())
@example(content=ORGANIZATION.replace("superuser: true", "superuser: {1: 2}").encode())
def test_any_file_is_applied_whole_or_refused_where_it_is_wrong(rig: Rig, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bent.yaml"
    path.write_bytes(content)
    try:
        organization = load(path)
    except BadFile as refusal:
        assert str(path) in str(refusal) or "bent.yaml" in str(refusal)
        assert "\n\n" not in str(refusal) and "Traceback" not in str(refusal)
        return
    now = rig.store.clock.now()
    for prune in (False, True):
        try:
            apply(rig.store, organization, now, prune=prune, dry_run=False)
            again = apply(rig.store, organization, now, prune=prune, dry_run=False)
        except NotApplicable as refusal:
            assert str(refusal).strip() and "Traceback" not in str(refusal)
        else:
            assert again.changes == []  # a file is applied once and for all
    rig.clean()


@cases(200, 0.01)
@given(line=st.text(max_size=80) | sentences)
def test_any_filter_reads_as_what_it_is_written_as(line: str) -> None:
    try:
        query = filters.parse_query(line)
    except InvalidInput as refusal:
        assert refusal.sentence
        return
    assert filters.parse_query(str(query)) == query


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Apia"])
@cases(100, 0.002)
@given(value=st.text(max_size=30) | st.datetimes().map(str) | st.from_regex(r"\A\d{1,5}[mhdw]\Z"))
def test_any_moment_is_one_or_is_refused(zone: str, value: str) -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    try:
        found = filters.moment(value, "since", now, zone)
    except InvalidInput as refusal:
        assert "since" in f"{refusal.sentence} {refusal.form}"
        return
    assert found.tzinfo is UTC
    if value[-1:].lower() in ("m", "h", "d", "w"):
        assert found <= now
