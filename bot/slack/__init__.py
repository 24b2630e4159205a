"""The line to Slack: how requests come in and answers go out. What they mean is decided elsewhere."""
