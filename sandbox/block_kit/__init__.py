"""Strict checks of Block Kit: what an app sends is refused where Slack refuses it, in Slack's words.

The rules are tables, put together once at import: `shapes` has the words to write rules in, `composition`,
`rich_text`, `elements` and `blocks` have the rules themselves, each with the page of Slack's documentation
that it comes from, and `payloads` what is sent as a whole. Where the documentation and slack_sdk disagree,
what one of them refuses is refused, unless Slack's own examples need it. Whether a named channel, person or
file exists is not known here.
"""

from sandbox.block_kit.payloads import (
    check_message,
    check_options,
    check_view,
    check_view_submission_response,
)
from sandbox.block_kit.shapes import Problem

__all__ = ["Problem", "check_message", "check_options", "check_view", "check_view_submission_response"]
