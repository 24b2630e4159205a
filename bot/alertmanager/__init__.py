"""Silences on both sides: those made in Slack stand in Alertmanager too, and those made there show here.

`client` speaks its API, `sync` compares the two sides once, `worker` does that now and then. Alerts that Alertmanager
sends by itself arrive in `bot/intake`.
"""
