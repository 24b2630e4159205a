"""Describes a stored digest in words."""

from __future__ import annotations

from bot.digests import schedule_text
from bot.digests.schedule import parse_cron
from bot.incidents import filters
from bot.incidents.filters import ListQuery
from bot.messages.digest import Summary
from storage.digest_rows import DigestRow


def summarize(digest: DigestRow) -> Summary:
    """Returns the digest's schedule, zone and filters as text."""
    query = filters.parse_query(digest.filters)
    return Summary(
        schedule_text.describe_schedule(parse_cron(digest.cron)), digest.zone, _describe_query(query), query.show
    )


def _describe_query(query: ListQuery) -> str:
    return str(query).removeprefix("open").strip()
