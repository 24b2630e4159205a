"""What people see: pure functions from values to Block Kit. This package uses no database and no network."""
