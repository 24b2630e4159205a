"""Whether tests run at full size: TOCSIN_LONG_TESTS=1 repeats more and longer, for minutes."""

from __future__ import annotations

import os

LONG = bool(os.environ.get("TOCSIN_LONG_TESTS"))
