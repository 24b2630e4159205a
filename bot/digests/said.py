"""A stored digest as its words."""

from __future__ import annotations

from bot.digests import words
from bot.digests.schedule import parse_cron
from bot.incidents import filters
from bot.messages.digest import Said
from storage.digest_rows import DigestRow


def said(digest: DigestRow) -> Said:
    """Its schedule and its filters in words."""
    return Said(words.describe(parse_cron(digest.cron)), digest.zone, shown_filters(digest.filters))


def shown_filters(stored: str) -> str:
    """Filters as people would type them: what a digest shows anyway is not said."""
    return str(filters.parse(stored)).removeprefix("open").strip()
