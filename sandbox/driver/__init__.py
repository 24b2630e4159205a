"""Drives the workspace from a test or a script: people type, press, fill in forms and read."""
