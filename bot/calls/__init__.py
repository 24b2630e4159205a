"""Calls people for incidents that nobody has: makes the steps that are due, and keeps who is on call."""
