"""What many alerts have in common: the part of their titles that is the same, and the labels that they share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# A part of titles or a label counts as common if at least this share of the alerts has it.
MOST = 0.8
MAX_LABELS = 3
MAX_TOKENS = 30  # of a title; the rest is not compared
MAX_TITLES = 100  # that are compared
_MIN_SHARE_OF_LETTERS = 0.3  # of a title that the common part must have, or it says nothing
_MIN_WORD = 3  # letters of its longest word
GAP = "…"
# Punctuation that goes with what differs.
_BEFORE_GAP, _AFTER_GAP = " \t\n(,=:#-", " \t\n),:#-"
_TOKENS = re.compile(r"[^\s(),=]+|[(),=]|\s+")
_DIGITS = re.compile(r"\d+")
# Labels by how much they say, the most telling first. Others follow in the order of their names.
_TELLING = (
    *("alertname", "service", "app", "job", "component"),
    *("zone", "availability_zone", "region", "datacenter", "cluster"),
    *("namespace", "environment", "env", "host", "instance", "node"),
)
_NOT_TELLING = frozenset({"severity", "priority"})  # the message has them already


@dataclass(frozen=True, slots=True)
class AlertWords:
    """The title and the labels of an alert."""

    title: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CommonLabel:
    """A label that all or most alerts have."""

    name: str
    value: str
    all: bool  # False: some do not have it


@dataclass(frozen=True, slots=True)
class Common:
    """What alerts have in common."""

    title: str | None = None  # with GAP where the titles differ
    labels: tuple[CommonLabel, ...] = ()  # the most telling first


def find_common(alerts: Sequence[AlertWords]) -> Common:
    """Returns what alerts have in common; of fewer than two, nothing."""
    if len(alerts) < 2:
        return Common()
    title = _find_common_title([alert.title for alert in alerts])
    labels = [one for one in _find_common_labels(alerts) if title is None or one.value.lower() not in title.lower()]
    return Common(title, tuple(labels[:MAX_LABELS]))


def find_shared_labels(alerts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Returns the labels, by name, that most of the alerts with labels have with the same value."""
    labelled = [labels for labels in alerts if labels]
    if len(labelled) < MOST * len(alerts):
        return {}
    counted = Counter(item for labels in labelled for item in labels.items())
    return {name: value for (name, value), count in counted.items() if count >= MOST * len(labelled)}


def _find_common_labels(alerts: Sequence[AlertWords]) -> list[CommonLabel]:
    counted = Counter(item for alert in alerts for item in alert.labels.items())
    found = [
        CommonLabel(name, value, all=count == len(alerts))
        for (name, value), count in counted.items()
        if count >= MOST * len(alerts) and name.lower() not in _NOT_TELLING and value.strip()
    ]
    return sorted(found, key=lambda one: (_rank(one.name), one.name))


def _rank(name: str) -> int:
    folded = name.lower()
    return _TELLING.index(folded) if folded in _TELLING else len(_TELLING)


def _find_common_title(titles: Sequence[str]) -> str | None:
    """Returns the words that most titles have in the same order; None if they say nothing."""
    # Titles that differ in their numbers alone are many of the same kind: if most are, only those matter.
    shapes = Counter(_DIGITS.sub("0", title) for title in titles)
    shape, count = shapes.most_common(1)[0]
    if count >= MOST * len(titles):
        titles = [title for title in titles if _DIGITS.sub("0", title) == shape]
    distinct = list(dict.fromkeys(titles))
    distinct = distinct[:: len(distinct) // MAX_TITLES + 1]
    common = _split(distinct[0])
    left_out = 0
    for title in distinct[1:]:
        tokens = _split(title)
        merged = list(_merge(common, tokens))
        if _says_something(merged, title):
            common = merged
        else:
            left_out += 1
            if left_out > (1 - MOST) * len(distinct):
                return None
    return _join(common) if _says_something(common, distinct[0]) else None


def _split(title: str) -> list[str]:
    return _TOKENS.findall(title)[:MAX_TOKENS]


def _merge(left: Sequence[str], right: Sequence[str]) -> Iterator[str]:
    """Yields the longest common subsequence of tokens, with a GAP for each run of others."""
    lengths = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            same = left[i] == right[j] and left[i] != GAP
            weight = 1 + len(left[i].strip())  # words count, blanks hardly
            lengths[i][j] = lengths[i + 1][j + 1] + weight if same else max(lengths[i + 1][j], lengths[i][j + 1])
    i = j = 0
    gap = False
    while i < len(left) and j < len(right):
        if left[i] == right[j] and left[i] != GAP:
            if gap:
                yield GAP
            gap = False
            yield left[i]
            i, j = i + 1, j + 1
        else:
            gap = True
            if lengths[i + 1][j] >= lengths[i][j + 1]:
                i += 1
            else:
                j += 1
    if gap or i < len(left) or j < len(right):
        yield GAP


def _says_something(tokens: Sequence[str], title: str) -> bool:
    letters = [sum(character.isalpha() for character in token) for token in tokens if token != GAP]
    total = sum(character.isalpha() for character in title)
    return max(letters, default=0) >= _MIN_WORD and sum(letters) >= _MIN_SHARE_OF_LETTERS * total


def _join(tokens: Sequence[str]) -> str:
    """Writes the tokens as a text: what differs is one GAP, with the punctuation around it."""
    first, *others = "".join(tokens).split(GAP)
    if others:
        first, last = first.rstrip(_BEFORE_GAP), others.pop().lstrip(_AFTER_GAP)
        between = (part.lstrip(_AFTER_GAP).rstrip(_BEFORE_GAP) for part in others)
        first = f" {GAP} ".join([first, *filter(None, between), last])
    text = " ".join(first.split())
    opened = text.rfind("(")
    if opened >= 0 and ")" not in text[opened:] and GAP in text[opened:]:  # a parenthesis that is not closed
        text = f"{text[:opened].rstrip()} {GAP}"
    return text.strip(f"{GAP} ,:=(-") if text.count(GAP) == 1 and text.startswith(GAP) else text.strip(" ,:=(-")
