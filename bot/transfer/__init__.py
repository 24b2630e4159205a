"""Takes what an organization has out of the database, as a file, and in again."""
