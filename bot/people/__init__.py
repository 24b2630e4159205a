"""Who is who: people and teams of Slack, people and teams of the database."""
