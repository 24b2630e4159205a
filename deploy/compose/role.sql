-- Run once by PostgreSQL's image, as the superuser `postgres`, when it makes the database's folder: the bot's role, which
-- is no superuser, and its database.
\getenv password POSTGRES_PASSWORD
CREATE ROLE tocsin LOGIN PASSWORD :'password';
CREATE DATABASE tocsin OWNER tocsin;
-- The image wants a password for the superuser. Nobody needs it: over the socket in the container there is none.
ALTER ROLE postgres PASSWORD NULL;
