"""The organization file: what it may say, how the database differs from it, and making the database match."""
