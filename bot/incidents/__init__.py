"""The rules of the domain: who may see and do what, and what each change writes. This package knows no Slack."""
