"""Digests: when a digest is due, what it contains, and how it is published exactly once."""
