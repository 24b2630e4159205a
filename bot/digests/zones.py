"""Parses the names of time zones as people type them."""

from __future__ import annotations

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from bot.incidents.errors import InvalidInput
from bot.incidents.words import find_closest, shorten


@cache
def _by_folded_name() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones()}


def parse_zone(text: str, form: str) -> ZoneInfo:
    """Parses an IANA name in upper or lower case. Raises InvalidInput with `form` and a suggestion."""
    folded = text.strip().lower().replace(" ", "_")
    names = _by_folded_name()
    if folded in names:
        return ZoneInfo(names[folded])
    cities = {name.rpartition("/")[2]: name for name in sorted(names, reverse=True) if "/" in name}
    meant = cities.get(folded) or find_closest(folded, names) or cities.get(find_closest(folded, cities) or "")
    sentence = f"There is no time zone “{shorten(text)}”."
    if meant:
        raise InvalidInput(sentence, form, wrong=text, meant=names[meant])
    raise InvalidInput(f"{sentence} Use a name like Europe/Berlin or UTC.", form)
