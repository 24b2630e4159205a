"""The intervals and timeouts of delivery."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """The values are in seconds, except counts. Slack's limits: https://docs.slack.dev/apis/web-api/rate-limits"""

    post_s: float = 1.0  # between two messages in one conversation
    update_s: float = 1.2  # between two calls of chat.update in one workspace: fifty a minute
    update_burst: int = 10  # calls of chat.update that may be made without a delay
    storm_s: float = 3.0  # between two updates of the message of a storm, however many changes there are
    start_s: float = 2.0  # from the record that a posting begins to its call; later than that it is not made
    call_s: int = 5  # timeout of one call; a stop may take ten seconds, and this is a part of them
    late_s: float = 10.0  # after the timeout of a call, Slack may still post its message for this long
    answered_s: float = 2.0  # after an error response with an unknown outcome, until a search can tell the outcome
    # In a conversation, less urgent posts wait for more urgent ones. In one of `overdue_turn` turns, a post that has
    # been due for `patience_s` goes first, so that a stream of urgent messages cannot delay it for ever.
    patience_s: float = 60.0
    overdue_turn: int = 4
    order_s: float = 60.0  # longest wait for an earlier message about the same incident
    # Slack refuses a message for a reason that may be temporary: the wait doubles with each attempt, up to the longest
    # one, and the message is given up after `refused_for_s`.
    refused_s: float = 5.0
    longest_refused_s: float = 600.0
    refused_for_s: float = 3600.0
    lease_s: float = 30.0  # lease of a destination; when its worker has died, another one can take it after this
    first_retry_s: float = 1.0  # after a temporary failure; doubled with each attempt, with jitter,
    longest_retry_s: float = 60.0  # up to this
    failed_s: float = 5.0  # between two attempts at a conversation that takes no messages; doubled with each attempt,
    longest_failed_s: float = 600.0  # up to this
    defect_s: float = 300.0  # delay of a message that causes an unexpected error in the bot
    paused_s: float = 30.0  # between two attempts at a workspace whose token is refused
    served_s: float = 30.0  # between two looks at which workspaces a process with many of them does not serve
    poll_s: float = 2.0  # between two looks at the database when nothing wakes delivery
    known_channel_s: float = 300.0  # how long Slack's data about a channel is used without asking again
    known_person_s: float = 86_400.0  # the same for a person

    @property
    def news_update_s(self) -> float:
        """As `update_s`, for updates that neither a channel nor somebody who has just pressed a button waits for.

        They take half of what Slack allows, and come after the others.
        """
        return 2 * self.update_s

    @property
    def settles_s(self) -> float:
        """Time from the record of a posting until its outcome is final. What is missing then never appears."""
        return self.start_s + self.call_s + self.late_s
