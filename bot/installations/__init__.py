"""Installations of the app in workspaces by OAuth: their tokens, their beginning and end, and whose they are."""
