"""A stored digest as its words."""

from __future__ import annotations

from bot.digests import schedule_text
from bot.digests.schedule import parse_cron
from bot.incidents import filters
from bot.messages.digest import Summary
from storage.digest_rows import DigestRow


def summarize(digest: DigestRow) -> Summary:
    """Its schedule and its filters in words."""
    return Summary(
        schedule_text.describe_schedule(parse_cron(digest.cron)), digest.zone, describe_filters(digest.filters)
    )


def describe_filters(stored: str) -> str:
    """Filters as people would type them: what a digest shows anyway is not said."""
    return str(filters.parse_query(stored)).removeprefix("open").strip()
