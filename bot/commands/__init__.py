"""The commands of `run_bot.py`: their options, what they print, and their exit codes. `bot/cli.py` names them."""
