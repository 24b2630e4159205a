"""What is wrong with a file that is imported."""

from __future__ import annotations


class BadImport(ValueError):
    """The file cannot be imported. The text names the line and what is wrong."""
