"""Delivers the outbox to Slack: decides who is notified of a change, and posts each message once.

`expansion` turns changes into posts. `sender` chooses a post that is due and sends it. It uses `order` to keep messages
about an incident in their order, `destination_checks` to check the destination, `rendering` to render the message,
`settlement` to record the outcome, and `recovery` to search for a message whose outcome is unknown. `api_calls`
interprets Slack's responses, and `service` runs the threads. Posts are defined in `storage.models.Post`.
"""
