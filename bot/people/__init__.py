"""People, teams and channels of Slack, matched with members, teams and projects of the database."""
