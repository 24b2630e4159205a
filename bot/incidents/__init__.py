"""The rules of the domain: who may see and do what, and what each change writes. No Slack in here."""
