"""What a responder sees: pure functions from values to Block Kit. No database and no network in here."""
