"""Maximum lengths of texts, in characters."""

from __future__ import annotations

MAX_COMMENT_LENGTH = 8000  # as stored: longer is a document, not a comment
MAX_TITLE_LENGTH = 255
MAX_ENVIRONMENT_LENGTH = 64
MAX_REASON_LENGTH = 300  # of a silence
