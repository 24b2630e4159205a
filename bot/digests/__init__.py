"""Digests: when one is due, what it says, and getting it to say so exactly once."""
