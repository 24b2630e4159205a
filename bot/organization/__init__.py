"""The organization file: parses it, compares it with the database, and makes the database match."""
