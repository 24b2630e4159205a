"""From the outbox to Slack: whose business a change is, what each is shown, and that it arrives once.

`expansion` turns changes into posts. `sender` chooses what is due and sends it: `destination_checks` finds out who is
there, `rendering` says what a post shows, `settlement` writes down what came of it, `recovery` searches for what may
have arrived. `api_calls` knows what an answer of Slack's means, `service` runs it all on threads. What a post is:
`storage.models.Post`.
"""
