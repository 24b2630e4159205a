"""Alerts from other systems, over HTTP: who may post, what each source sends, and how it becomes incidents."""
