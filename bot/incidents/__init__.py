"""The rules for incidents: who may see and do what, and what each change writes. Nothing here calls Slack."""
