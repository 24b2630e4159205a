"""The handlers of Slack's requests: one module for each verb, with its command, buttons and forms."""
