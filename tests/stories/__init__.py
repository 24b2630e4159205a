"""Stories: what responders do in Slack and what they see, through the sandbox against a real PostgreSQL."""
