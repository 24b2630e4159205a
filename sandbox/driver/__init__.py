"""Driving the workspace from a test or a script: people who type, press, fill in forms and see."""
