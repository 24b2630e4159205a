"""From the outbox to Slack: whose business a change is, what each is shown, and that it arrives once.

`expand` turns changes into posts, `sender` brings posts to Slack, `drawing` says what they show, `calls` knows
what an answer of Slack's means for them, `service` runs it all on threads. What a post is: `storage.models.Post`.
"""
