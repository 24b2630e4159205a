"""Delivers what the outbox asks for to Slack: finds out who must learn of a change, and posts each message once.

`expansion` turns changes into posts. `sender` chooses what is due and sends it: `destination_checks` finds out what
must be known of a destination, `rendering` says what a post shows, `settlement` records the outcome, and `recovery`
searches for a message whose outcome is unknown. `api_calls` knows what Slack's answers mean, and `service` runs
everything on threads. What a post is: `storage.models.Post`.
"""
