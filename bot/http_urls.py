"""Addresses of servers in settings."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit


def parse_http_url(value: str) -> SplitResult | None:
    """The parts of an http(s) address without a query; None if it is none."""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return None if not sound or re.search(r"\s", value) or parts.query or parts.fragment else parts
