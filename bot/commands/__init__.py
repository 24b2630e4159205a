"""The commands of `run_bot.py` with options of their own. `bot/cli.py` puts them together."""
