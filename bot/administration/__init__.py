"""Keeps and removes data: retention, legal hold, and erasing a person."""
