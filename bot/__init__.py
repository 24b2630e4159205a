"""The bot. Its version is here, and nowhere else."""

__version__ = "0.1.0"
# How the bot introduces itself to the servers that it calls.
USER_AGENT = f"tocsin/{__version__}"
