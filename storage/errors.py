"""What can go wrong with the database, told apart by what a person can do about it."""

from __future__ import annotations


class DatabaseAway(Exception):
    """The database cannot be reached or does not answer in time. Nothing was changed."""


class Contended(Exception):
    """Another change to the same row took longer than the lock time-out. Nothing was changed."""


class SchemaMismatch(Exception):
    """The database's schema is older than this program needs; `run_bot.py migrate` brings it forward."""
